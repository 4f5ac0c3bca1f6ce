"""Short words of everyday English, which hardly any vocabulary lacks."""

from __future__ import annotations

WORDS = tuple(
    dict.fromkeys(
        """
        time year people way day man thing woman life child world school state family student group country
        problem hand part place case week company system program question work government number night point
        home water room mother area money story fact month lot right study book eye job word business issue
        side kind head house service friend father power hour game line end member law car city community
        name president team minute idea body information back parent face level office door health person
        art war history party result change morning reason research girl guy moment air teacher force food
        summer music land street market mind ground table court interest death course voice light window
        paper space field form picture river field plan wall color fire model rate stage trade sense
        language price image record star board north south east west letter ship stone wood wind bridge
        spring winter island garden forest corner engine village bottle dinner doctor driver farmer paint
        green white black blue brown clear deep early easy fair fast final free full good great happy hard
        high hot large last late left little local long low main major modern new next old open own past
        poor private public quick ready real red rich round safe short simple single small social soft
        special strong sure tall true warm whole wide wild wrong young again almost already also always
        away before behind below both down each ever every far first here however into just later less
        more most much never now often once only other over quite rather several since still such then
        there together too toward under until up very well where while within yet carry catch choose close
        cover cross cut decide draw drive drop enter explain fall feel fill find follow give grow help hold
        keep know learn leave listen look make meet move need offer pass pick play pull push put reach read
        remember rise run say see sell send set show sit speak stand start stay stop take talk teach tell
        think throw touch travel try turn use visit wait walk want watch wear win wish write answer bring
        """.split()
    )
)[:256]

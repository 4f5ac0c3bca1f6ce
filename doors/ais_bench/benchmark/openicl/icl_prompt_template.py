"""PromptTemplate: which words a row of data is asked in."""


class PromptTemplate:
    """`template` is a text, a round of turns, or one of these for each label; `ice_token` marks examples."""


class MultiTurnPromptTemplate(PromptTemplate):
    """The turns of a conversation as they are."""

"""What a service speaks, found out by asking it; what is said where it speaks something else."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from typing import Any

import pytest

from faulty_service import Asked, Service, reply, serving
from steelyard import Request, answer, open_model
from steelyard.errors import ModelError, UsageError
from steelyard.models.endpoints import Form, find_forms, guess_wire, is_bare
from steelyard.models.http import HttpModel
from steelyard.models.services import open_http, open_service
from steelyard.wire.openai import OpenAI
from steelyard.wire.plain import Plain
from steelyard.wire.tgi import TGI

KEY = "sk-live-2718281828"


def known(pages: Mapping[str, Any], post: Any = None) -> Any:
    """A step that answers a GET of known paths, and every POST alike."""

    def step(asked: Asked) -> bytes:
        if asked.method == "POST" and asked.target != "/v2/repository/index":
            return reply({"detail": "Not Found"}, status=404) if post is None else reply(post)
        found = pages.get(asked.target)
        return reply({"detail": "Not Found"}, status=404) if found is None else reply(found)

    return step


LISTED = {"/v1/models": {"data": [{"id": "m"}, {"id": "lora", "parent": "m"}]}}
TGI_INFO = {"/info": {"model_id": "org/name", "max_total_tokens": 4096}}
REPOSITORY = {
    "/v2": {"name": "triton", "extensions": ["generate"]},
    "/v2/repository/index": [{"name": "upper", "state": "READY"}],
}


@pytest.mark.parametrize(
    ("url", "wire"),
    [
        ("http://h:8000/v1", "openai"),
        ("https://h/api/v1/", "openai"),
        ("http://h/v1/chat/completions", "openai"),
        ("unix:///run/llm.sock:/v1", "openai"),
        ("http://h/v1/completions", "openai-completions"),
        ("http://h/v2/models/m/generate_stream", "triton"),
        ("http://h/v2/models/m/versions/1/infer", "kserve"),
        ("http://h:8000", None),
        ("http://h/predict", None),
    ],
)
def test_addresses_that_say_what_is_spoken_there(url: str, wire: str | None) -> None:
    assert guess_wire(url) == wire


def test_addresses_that_name_a_service_alone() -> None:
    assert is_bare("http://h:8000") and is_bare("http://h:8000/") and is_bare("http://h/generate")
    assert not is_bare("http://h:8000/predict")


@pytest.mark.parametrize(
    ("pages", "wire", "name", "url"),
    [
        (LISTED, OpenAI, "m", "/v1/chat/completions"),
        (TGI_INFO, TGI, "127.0.0.1", "/generate"),
        ({**TGI_INFO, **LISTED}, OpenAI, "m", "/v1/chat/completions"),
        ({"/v1/models": "no list", "/info": ["nothing"]}, Plain, "127.0.0.1", ""),
        ({}, Plain, "127.0.0.1", ""),
    ],
)
def test_a_bare_address_is_asked_what_it_speaks(pages: Any, wire: type, name: str, url: str) -> None:
    with serving(known(pages)) as service:
        root = f"http://127.0.0.1:{service.port}"
        model = open_http(root)
        assert isinstance(model.wire, wire)
        assert model.name.startswith(name) and model.url.removesuffix("/") == root + url
        remarks = list(model.remarks)
        model.close()
    assert all(f"asked at {model.url}" in remark for remark in remarks) and bool(remarks) == bool(url)


def test_forms_below_a_path_are_found_too() -> None:
    with serving(
        known({f"/gateway{path}": page for path, page in {**LISTED, **REPOSITORY}.items()})
    ) as service:
        root = f"http://127.0.0.1:{service.port}"
        model = HttpModel(f"{root}/gateway/chat/completions")
        forms = asyncio.run(find_forms(model.client))
        model.close()
    assert forms[0] == Form("openai", f"{root}/gateway/v1", ["m"])
    assert [form.wire for form in forms] == ["openai", "triton", "kserve"]


def test_an_address_with_a_path_of_its_own_is_asked_nothing() -> None:
    with serving(known(LISTED, post=["yes"])) as service:
        model = open_http(f"http://127.0.0.1:{service.port}/predict")
        assert answer(model, [Request("1", "?")])[0].text == "yes"
        model.close()
        assert [asked.method for asked in service.asked] == ["POST"]


def test_who_is_asked_what_it_speaks_gets_the_key() -> None:
    with serving(known(LISTED)) as service:
        model = open_http(f"http://127.0.0.1:{service.port}", api_key=KEY)
        model.close()
        assert {asked.headers.get("authorization") for asked in service.asked} == {f"Bearer {KEY}"}
        assert KEY not in "".join(model.remarks)


def doubts(model: HttpModel, error: str = "HTTP 404: Not Found") -> str:
    why = asyncio.run(model.doubt(error))
    model.close()
    return "" if why is None else str(why)


def test_another_protocol_is_named_with_the_flag_that_asks_it() -> None:
    with serving(known(REPOSITORY)) as service:
        root = f"http://127.0.0.1:{service.port}"
        said = doubts(open_service(root, wire="openai", model="upper"))
        assert "speaks Triton's generate, and was asked as if it spoke the OpenAI protocol" in said
        assert said.endswith(f"(--model triton url={root} model=upper)")
        assert doubts(open_service(root, wire="triton", model="upper")) == ""
        assert "there is no model at 127.0.0.1:" in doubts(open_service(root, wire="kserve", model="uper"))


def test_a_service_of_chats_alone_has_no_completions() -> None:
    with serving(known(LISTED)) as service:
        root = f"http://127.0.0.1:{service.port}"
        said = doubts(open_service(root + "/v1", wire="openai-completions", model="m"))
        assert "it lists models, and has no completions" in said and said.endswith(f"(--model {root}/v1)")
        assert doubts(open_service(root + "/v1", wire="openai", model="m")) == ""


@pytest.mark.parametrize("where", ["127.0.0.1:8000", "localhost:8000/v1", "gpu-1.lan:80"])
def test_an_address_without_its_scheme_is_told_so(where: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"http://{where}, where a service is meant")):
        open_model(where)


@pytest.mark.parametrize(
    ("error", "wire"),
    [
        ("HTTP 500: out of memory", "tgi"),
        ("HTTP 429: slow down", "tgi"),
        ("HTTP 400: the prompt is too long", "tgi"),
        ("no answer from h within 600 s", "tgi"),
        ("HTTP 400: the prompt is too long", "openai"),
    ],
)
def test_errors_of_single_questions_say_nothing_of_the_address(error: str, wire: str) -> None:
    with serving(known(LISTED)) as service:
        model = open_service(f"http://127.0.0.1:{service.port}", wire=wire, model="m")
        assert doubts(model, error) == ""


def test_a_key_that_is_missing_is_said(tmp_path: Any) -> None:
    model = open_service("http://127.0.0.1:1/v1", wire="openai", model="m")
    assert doubts(model, "HTTP 401: no key").endswith("(api_key=env:NAME)")


def test_what_cannot_be_reached_is_said() -> None:
    assert "nobody listens at 127.0.0.1:1" in doubts(HttpModel("http://127.0.0.1:1/v1"))
    with pytest.raises(ModelError, match=r"there is no host nowhere\.invalid"):
        open_model("http://nowhere.invalid/v1")
    model = open_http("http://127.0.0.1:1")
    assert (type(model.wire), list(model.remarks)) == (Plain, [])


def test_a_proxy_or_a_socket_that_is_not_there_is_said(tmp_path: Any) -> None:
    model = HttpModel("http://127.0.0.1:1/v1", proxy="http://127.0.0.1:2")
    assert doubts(model).startswith("the proxy 127.0.0.1:2: Connection refused (proxy=http://USER")
    assert "proxy=false" in doubts(model, "HTTP 407: the proxy 127.0.0.1:2 does not let us through")
    assert f"nobody listens at {tmp_path}/s (" in doubts(HttpModel(f"unix://{tmp_path}/s:/v1"))


def test_tls_where_there_is_none_and_none_where_there_is() -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    service = Service(known(LISTED), tls=context)
    try:
        address = f"127.0.0.1:{service.port}"
        plain = doubts(HttpModel(f"http://{address}/v1/chat/completions"), "closed")
        assert f"speaks TLS, and was asked without (url=https://{address}/v1/chat/completions)" in plain
        assert "verify=false" in doubts(HttpModel(f"https://{address}/v1"), "closed")
    finally:
        service.close()
    with serving(known(LISTED)) as service:
        address = f"127.0.0.1:{service.port}"
        assert f"does not speak TLS (url=http://{address}/v1)" in doubts(
            HttpModel(f"https://{address}/v1"), "x"
        )


def test_options_go_to_whom_they_belong() -> None:
    model = open_service(
        "http://h:1", wire="tgi", max_tokens=7, params={"top_k": 2}, concurrency=5, retries=1
    )
    assert isinstance(model.wire, TGI)
    assert (model.wire.params, model.concurrency) == ({"max_tokens": 7, "top_k": 2}, 5)
    with pytest.raises(UsageError, match=r"no option 'retrys'.*retries"):
        open_service("http://h:1", wire="tgi", retrys=1)
    with pytest.raises(UsageError, match=r"no option 'likelyhood'.*likelihood"):
        open_service("http://h:1/v1", wire="openai", model="m", likelyhood="echo")
    with pytest.raises(UsageError, match="no option 'detail'"):
        open_service("http://h:1", wire="mindie", detail="low")


@pytest.mark.parametrize("name", ["tgi", "triton", "kserve", "mindie", "openai-completions"])
def test_services_have_names_of_their_own(name: str) -> None:
    model = open_model(name, url="http://h:1/v1", model="m")
    assert isinstance(model, HttpModel)
    assert model.identity()["wire"].rpartition(".")[2].lower() == name.removeprefix("openai-")
    same = open_model("http://h:1/v1", wire=name, model="m")
    assert same.identity() == model.identity()

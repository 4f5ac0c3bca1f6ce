"""Looking at what a server tells of itself, of real servers on sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from faulty_service import Asked, Service, reply, serving
from steelyard import Stage, load
from steelyard.errors import UsageError
from steelyard.loadtest.scraping import Scraper, find_places, keep_looking, list_pauses, open_scraper
from steelyard.models.base import LocalModel
from steelyard.models.http import HttpModel
from steelyard.serving.server import Server
from steelyard.timings.serverside import read_server, summarize
from steelyard.types import Request, Response
from steelyard.wire.openai import OpenAI


class Shout(LocalModel):
    """Answers in capitals."""

    def batch(self, requests: Any) -> list[Response]:
        return [Response(text=str(request.prompt).upper()) for request in requests]


def told(**values: float) -> bytes:
    """An answer of a server that tells these."""
    return reply(body="".join(f"{name} {value}\n" for name, value in values.items()).encode())


def looked(scraper: Scraper, times: int = 1) -> list[bool]:
    """What each of several looks came to."""

    async def look() -> list[bool]:
        return [await scraper.look() for _ in range(times)]

    return asyncio.run(look())


def test_our_own_server_tells_what_it_was_asked(tmp_path: Path) -> None:
    with Server({"shout": Shout()}, port=0, wires="openai") as server:
        model = HttpModel(f"{server.url}/v1", wire=OpenAI(model="shout"))
        with keep_looking(open_scraper(model, tmp_path / "server.jsonl", every=0.02)) as scraper:
            for _ in range(3):
                response = asyncio.run(model.ask(Request("1", [{"role": "user", "content": "hi"}])))
                assert response.error is None
        model.close()
    assert scraper.trouble is None
    seen = read_server(tmp_path)
    summary = summarize(seen, seen[0].t, seen[-1].t)
    assert summary["requests"] == 3 and summary["e2el_n"] == 3 and summary["restarts"] == 0
    assert summary["looks"] == len(seen) >= 2


def test_a_short_stage_is_looked_at_often_and_a_long_one_every_second() -> None:
    moments = list(accumulate(islice(list_pauses(1.0), 60)))
    assert len([at for at in moments if at < 1]) == 4
    assert len([at for at in moments if at < 5]) == 13
    assert {round(after - at, 9) for at, after in pairwise(moments[20:])} == {1}
    assert set(islice(list_pauses(0.02), 50)) == {0.02}


def test_no_metrics_are_told_of_once_and_nothing_is_written(tmp_path: Path) -> None:
    with serving(reply({"error": "what?"}, status=404)) as service:
        scraper = open_scraper(HttpModel(service.url), tmp_path / "server.jsonl", every=0.01)
        # A watch of what is not there ends by itself.
        asyncio.run(asyncio.wait_for(scraper.watch(), 10))
        assert len(service.asked) == 1
    assert scraper.trouble is not None and "no metrics of the server" in scraper.trouble
    assert "HTTP 404" in scraper.trouble and f"127.0.0.1:{service.port}/metrics" in scraper.trouble
    assert not (tmp_path / "server.jsonl").exists()


def test_interrupted_it_leaves_nothing_under_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def interrupt() -> None:
            # Looked at, it says nothing.
            with silent.accept()[0]:
                os.kill(os.getpid(), signal.SIGINT)
                ended.wait(20)

        thread = threading.Thread(target=interrupt)
        thread.start()
        scraper = open_scraper(HttpModel(f"http://127.0.0.1:{silent.getsockname()[1]}"), tmp_path / "looks")
        with pytest.raises(KeyboardInterrupt), keep_looking(scraper):
            pass
        ended.set()
        thread.join()
    del scraper
    gc.collect()
    assert not caplog.records


def test_who_told_nothing_is_not_asked_at_the_end(tmp_path: Path) -> None:
    with serving(reply(status=404)) as service:
        with keep_looking(open_scraper(HttpModel(service.url), tmp_path / "server.jsonl")) as scraper:
            assert scraper.trouble is not None
            # The watch has looked once more, and ended.
            while len(service.asked) < 2:
                time.sleep(0.005)
        assert len(service.asked) == 2


def test_nothing_that_is_known_is_nothing(tmp_path: Path) -> None:
    with serving(told(go_threads=7)) as service:
        scraper = open_scraper(HttpModel(service.url), tmp_path / "server.jsonl")
        assert looked(scraper) == [False]
    assert scraper.trouble is not None and "nothing in it is known" in scraper.trouble


def test_a_server_that_goes_and_comes_back_is_seen_to(tmp_path: Path) -> None:
    first = told(**{"vllm:generation_tokens_total": 100})
    with serving(first, reply(status=503), told(**{"vllm:generation_tokens_total": 30})) as service:
        scraper = open_scraper(HttpModel(service.url), tmp_path / "server.jsonl")
        assert looked(scraper, 3) == [True, False, True]
    seen = read_server(tmp_path)
    assert [look.error is None for look in seen] == [True, False, True]
    assert seen[1].error is not None and "HTTP 503" in seen[1].error
    summary = summarize(seen, seen[0].t, seen[-1].t)
    assert (summary["tokens_out"], summary["restarts"], summary["unanswered"]) == (30, 1, 1)


def test_histograms_stand_where_they_changed(tmp_path: Path) -> None:
    bucket = 'vllm:time_to_first_token_seconds_bucket{{le="+Inf"}} {}\nvllm:num_requests_running 1\n'
    answers = [reply(body=bucket.format(count).encode()) for count in (1, 1, 2)]
    with serving(*answers) as service:
        looked(open_scraper(HttpModel(service.url), tmp_path / "server.jsonl"), 3)
    lines = (tmp_path / "server.jsonl").read_text().splitlines()
    assert ["histograms" in line for line in lines] == [True, False, True]
    assert [look.histograms["ttft"]["inf"] for look in read_server(tmp_path)] == [1, 1, 2]


def test_several_servers_are_one(tmp_path: Path) -> None:
    with serving(told(tgi_queue_size=2)) as one, serving(told(tgi_queue_size=3)) as other:
        urls = [f"http://127.0.0.1:{service.port}" for service in (one, other)]
        scraper = open_scraper(HttpModel(one.url), tmp_path / "server.jsonl", given=",".join(urls))
        assert looked(scraper) == [True]
        assert [service.asked[0].target for service in (one, other)] == ["/metrics"] * 2
    assert read_server(tmp_path)[0].values == {"waiting": 5}


def test_the_key_goes_to_the_model_and_to_no_other(tmp_path: Path) -> None:
    def key_of(asked: Asked) -> str | None:
        return asked.headers.get("authorization")

    def run(given: str | None, own: Service, other: Service) -> None:
        model = HttpModel(own.url, api_key="secret")
        looked(open_scraper(model, tmp_path / "server.jsonl", given=given))

    with serving(told(tgi_queue_size=1)) as own, serving(told(tgi_queue_size=1)) as other:
        run(None, own, other)
        run(f"http://127.0.0.1:{own.port}/own", own, other)
        run(f"http://127.0.0.1:{other.port}/metrics", own, other)
        assert [key_of(asked) for asked in own.asked] == ["Bearer secret"] * 2
        assert [asked.target for asked in own.asked] == ["/metrics", "/own"]
        assert [key_of(asked) for asked in other.asked] == [None]


def test_where_it_is_looked(tmp_path: Path) -> None:
    def shown(model: Any, given: str | None = None) -> list[list[str]]:
        return [[place.shown for place in places] for places in find_places(model, given)]

    assert shown(HttpModel("http://host:80/v1/chat/completions")) == [["host:80/metrics"]]
    assert shown(HttpModel("http://host/proxy/v1/completions")) == [["host/metrics", "host/proxy/metrics"]]
    triton = HttpModel("http://host:8000/v2/models/m/generate")
    assert shown(triton) == [["host:8000/metrics", "host:8002/metrics"]]
    assert shown(triton, "host:9400") == [["host:9400/metrics"]]
    assert find_places(Shout()) == []
    with pytest.raises(UsageError, match="every"):
        Scraper([], tmp_path / "server.jsonl", every=0)


@pytest.mark.parametrize("path", ["/metrics", "/nothing"])
def test_a_load_looks_at_the_server_and_says_where_it_cannot(path: str, tmp_path: Path) -> None:
    with Server({"shout": Shout()}, port=0, wires="openai") as server:
        model = HttpModel(f"{server.url}/v1", wire=OpenAI(model="shout"))
        stage = Stage(name="2 clients", requests=20, concurrency=2)
        prompts: Any = ["one", "two"]
        run = load(
            model, prompts * 10, stages=[stage], out=tmp_path / "run", workers=1, scrape=server.url + path
        )
        model.close()
    seen = read_server(run.path)
    if path == "/metrics":
        assert run.about.get("metrics") is None
        assert summarize(seen, seen[0].t, seen[-1].t)["requests"] == 20
    else:
        assert seen == [] and "no metrics of the server" in run.about["metrics"]

"""The music reward model: from files to scores, alone and in company, whatever the sounds are like."""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from music.checkpoints import make_reward_checkpoint
from music.noises import noise
from music.variants import VARIANTS

torch = pytest.importorskip("torch")

from steelyard import Part, Request, Response, Sample, evaluate  # noqa: E402
from steelyard.cli import main  # noqa: E402
from steelyard.engine import answer  # noqa: E402
from steelyard.errors import ModelError, UsageError  # noqa: E402
from steelyard.media.sounds import Sound  # noqa: E402
from steelyard.models.music.network import Prompted  # noqa: E402
from steelyard.models.music.reward import MusicReward  # noqa: E402
from steelyard.models.references import open_model  # noqa: E402
from steelyard.tasks.rewards import preference  # noqa: E402

TINY = Path(__file__).parents[2] / "data" / "reward-tiny"
CHECKPOINT = TINY / "ckpt" / "model.safetensors"
NAMES = ("alignment", "musicality")
Scores = dict[str, float]


@pytest.fixture(scope="module")
def model() -> Iterator[MusicReward]:
    opened = MusicReward(CHECKPOINT, device="cpu", workers=2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a file of so many seconds; the same again for the same wish."""
    folder = tmp_path_factory.mktemp("sounds")

    def make(seconds: float, *, rate: int = 24_000, seed: int = 0, kind: str = "wav") -> Path:
        path = folder / f"{seconds}-{rate}-{seed}.{kind}"
        if not path.exists():
            soundfile.write(path, noise(seconds, seed=seed, rate=rate), rate)
        return path

    return make


def ask(model: MusicReward, prompts: Sequence[Any]) -> list[Response]:
    return answer(model, [Request(str(place), prompt) for place, prompt in enumerate(prompts)])


def scores_of(model: MusicReward, prompts: Sequence[Any]) -> list[Any]:
    answers = ask(model, prompts)
    assert [one.error for one in answers] == [None] * len(prompts)
    return [one.scores for one in answers]


def apart(some: Any, others: Any) -> float:
    assert list(some) == list(others)
    return max(abs(some[name] - others[name]) for name in some)


@pytest.mark.parametrize("ref", [CHECKPOINT, TINY / "ckpt", str(CHECKPOINT), "music-reward"])
def test_published_scores(ref: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TINY)
    options = {"checkpoint": "ckpt/model.safetensors"} if ref == "music-reward" else {}
    opened: Any = open_model(ref, **options)
    assert isinstance(opened, MusicReward)
    assert opened.name == "ckpt"
    items = json.loads((TINY / "expected.json").read_text())["items"]
    prompts = []
    for item in items:
        sounds = {name: TINY / item[name] for name in ("audio", "ref_audio") if item[name]}
        prompts.append({"text": item["text"], "lyrics": item["lyrics"], **sounds})
    for found, item in zip(scores_of(opened, prompts), items):
        assert apart(found, dict(zip(NAMES, item["scores"]))) < 1e-6
    opened.close()


CONFIGURATIONS = ["means", "two stages", "crossed, downsampled", "t5", "relative positions"]


@pytest.mark.parametrize("variant", CONFIGURATIONS)
def test_a_score_does_not_depend_on_its_company(
    variant: str, tmp_path: Path, sounds: Callable[..., Path]
) -> None:
    opened = MusicReward(make_reward_checkpoint(tmp_path, **VARIANTS[variant]), batch_size=16, workers=2)
    lengths = [0.04, 0.3, 0.9, 0.9, 1.7, 2.5]
    prompts: list[dict[str, Any]] = []
    for place in range(16):
        prompt: dict[str, Any] = {
            "audio": sounds(lengths[place % 6], seed=place),
            "text": "a song " * (place % 5),
            "lyrics": "la " * (place % 3 * 20),
        }
        if place % 3 == 1:
            prompt["ref_audio"] = sounds(lengths[place % 4], seed=place + 50)
        if place % 4 == 2:
            prompt["audio_b"] = sounds(lengths[place % 5], seed=place + 90)
        prompts.append(prompt)
    alone = []
    for prompt in prompts:
        # With nothing left of those before.
        opened.free()
        alone += scores_of(opened, [prompt])
    assert len({one["musicality"] for one in alone}) > 12
    order = np.random.default_rng(0).permutation(16).tolist()
    for some in (range(16), order, *(order[begin : begin + 3] for begin in range(0, 16, 3))):
        opened.free()
        for place, found in zip(some, scores_of(opened, [prompts[place] for place in some])):
            assert apart(found, alone[place]) < 1e-5
    opened.close()


def score_by_hand(model: MusicReward, chunks: Sequence[Any], text: str = "x") -> Scores:
    """What the network says of chunks that somebody cut by hand."""
    network = model.network
    frames = torch.cat([network.hear(torch.from_numpy(chunk)[None])[0] for chunk in chunks])
    row = network.score([frames], [Prompted(*network.read([text, ""]))])[0]
    return dict(zip(NAMES, row.tolist()))


def test_final_hears_chunks_of_thirty_seconds_up_to_max_dur(sounds: Callable[..., Path]) -> None:
    path = sounds(33.02, seed=3)
    wave = soundfile.read(path, dtype="float32")[0]
    model = MusicReward(CHECKPOINT, device="cpu", max_dur=None)
    prompt = {"audio": path, "text": "x"}
    for most, parts in [
        (None, [wave[:720_000], wave[720_000:]]),
        (31, [wave[:720_000], wave[720_000 : 31 * 24_000]]),
        (2.5, [wave[:60_000]]),
        # A tail that is too short to be heard.
        (30.04, [wave[:720_000]]),
        (30.05, [wave[:720_000], wave[720_000:721_200]]),
    ]:
        model.listen(max_dur=most)
        answered = ask(model, [prompt])[0]
        assert apart(answered.scores, score_by_hand(model, parts)) < 1e-6
        assert answered.raw["seconds"] == [33.02 if most is None else most]
    model.close()


def test_forty_milliseconds_have_a_score(model: MusicReward, sounds: Callable[..., Path]) -> None:
    path = sounds(0.04)
    padded = np.zeros(1025, np.float32)
    padded[:960] = soundfile.read(path, dtype="float32")[0]
    (answered,) = ask(model, [{"audio": path, "text": "x"}])
    assert apart(answered.scores, score_by_hand(model, [padded])) < 1e-6
    assert "too short" in answered.raw["remarks"][0]
    (one,) = scores_of(model, [{"audio": np.zeros(1, np.float32)}])
    assert all(np.isfinite(list(one.values())))


@pytest.mark.parametrize(
    ("seconds", "step", "starts"),
    [
        (6.5, 1.5, [0, 1.5, 3, 4.5]),
        (6.5, None, [0]),
        # The last stretch is a second long, or it does not count.
        (4.0, 3.0, [0, 3]),
        (3.9, 3.0, [0]),
        (0.5, 1.5, [0]),
        (3.0, 1.0, [0]),
        (3.1, 1.0, [0, 1]),
    ],
)
def test_standard_takes_the_mean_of_stretches(
    sounds: Callable[..., Path], seconds: float, step: float | None, starts: list[float]
) -> None:
    model = MusicReward(CHECKPOINT, mode="standard", max_dur=3, dur_step=step)
    path = sounds(seconds, seed=8)
    wave = soundfile.read(path, dtype="float32")[0]
    parts = [score_by_hand(model, [wave[int(at * 24_000) : int((at + 3) * 24_000)]]) for at in starts]
    answered = ask(model, [{"audio": path, "text": "x"}])[0]
    mean = {name: float(np.mean([part[name] for part in parts])) for name in NAMES}
    assert apart(answered.scores, mean) < 1e-6
    assert answered.raw["seconds"] == [seconds if step is not None else min(seconds, 3)]
    # Samples of which nobody says how fast they follow each other are taken as they are.
    (same,) = scores_of(model, [{"audio": wave, "text": "x"}])
    assert apart(answered.scores, same) < 1e-6
    model.close()


def test_a_reference_is_heard_as_far_as_a_piece_is(sounds: Callable[..., Path]) -> None:
    model = MusicReward(CHECKPOINT, mode="standard", max_dur=2, dur_step=1)
    long, short = sounds(5, seed=4), soundfile.read(sounds(5, seed=4), dtype="float32")[0][:48_000]
    piece = {"audio": sounds(4, seed=5), "text": "x"}
    answers = scores_of(model, [{**piece, "ref_audio": long}, {**piece, "ref_audio": short}, piece])
    assert apart(answers[0], answers[1]) < 1e-6
    assert apart(answers[0], answers[2]) > 1e-3
    model.close()


def test_sounds_of_any_kind(model: MusicReward, tmp_path: Path) -> None:
    low, high = noise(1, rate=8000), noise(1, rate=96_000)
    files = {
        "silence.wav": (np.zeros(24_000), 24_000),
        "low.wav": (low, 8000),
        "high.flac": (np.stack([high, high * 0.5], axis=1), 96_000),
        "lossy.mp3": (noise(1, rate=44_100), 44_100),
        "lossy.ogg": (noise(1, rate=48_000), 48_000),
    }
    for name, (wave, rate) in files.items():
        soundfile.write(tmp_path / name, wave, rate)
    found = scores_of(model, [{"audio": tmp_path / name, "text": name} for name in files])
    assert all(np.isfinite(list(scores.values())).all() for scores in found)


def test_sounds_that_cannot_be_had_cost_their_piece(
    model: MusicReward, tmp_path: Path, sounds: Callable[..., Path]
) -> None:
    (tmp_path / "text.wav").write_text("this is no sound at all\n" * 50)
    odd = np.zeros(24_000, np.float32)
    odd[600] = np.nan
    soundfile.write(tmp_path / "nan.wav", odd, 24_000, subtype="FLOAT")
    whole = sounds(3, seed=2).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:40_000])
    good = sounds(1, seed=1)
    answers = ask(
        model,
        [
            {"audio": tmp_path / "gone.wav"},
            {"audio": tmp_path / "text.wav"},
            {"audio": tmp_path / "nan.wav"},
            {"audio": good, "ref_audio": tmp_path / "gone.wav"},
            {"audio": good, "audio_b": tmp_path / "text.wav"},
            {"audio": tmp_path / "cut.wav"},
            {"audio": good},
        ],
    )
    errors = [one.error or "" for one in answers]
    for error, said in zip(errors, ["gone.wav", "text.wav", "NaN at 0.03 s", "its reference: ", "side b: "]):
        assert said in error
    assert errors[5:] == ["", ""]
    assert "cut off" in answers[5].raw["remarks"][0]
    assert answers[4].scores == answers[6].scores


def test_what_was_heard_and_read_is_not_again(model: MusicReward, sounds: Callable[..., Path]) -> None:
    model.free()
    before = dict(model.spent())
    pair = {"audio": sounds(1.5, seed=20), "audio_b": sounds(1.5, seed=21), "ref_audio": sounds(1.5, seed=22)}
    first = scores_of(model, [{**pair, "text": str(place)} for place in range(6)])
    again = scores_of(model, [{"audio": pair["audio"], "text": "3"}, {"audio": pair["ref_audio"]}])
    after = model.spent()
    assert after["decoded_seconds"] - before["decoded_seconds"] == pytest.approx(4.5)
    assert after["pieces"] - before["pieces"] == 14
    assert again[0]["musicality"] != first[3]["musicality"]
    # A file that was written anew is another sound.
    soundfile.write(pair["audio"], noise(0.7, seed=99), 24_000)
    (changed,) = scores_of(model, [{"audio": pair["audio"], "text": "3"}])
    assert changed["musicality"] != again[0]["musicality"]


def test_what_waits_decoded_for_another_device_is_measured(sounds: Callable[..., Path]) -> None:
    model = MusicReward(CHECKPOINT, max_dur=2)
    long, short = sounds(3), sounds(1)
    pair = Request("0", {"audio": long, "audio_b": short, "ref_audio": long})
    assert model.length(pair) == 0
    model.device = torch.device("cuda")
    assert model.length(pair) == (2 + 2) + (1 + 2)
    assert model.length(Request("0", {"audio": short, "audio_b": short.with_name("gone.wav")})) == 1 + 2
    assert model.length(Request("0", {"audio": np.zeros(100)})) == 2
    model.listen(max_dur=None)
    assert model.length(Request("0", {"audio": np.zeros(100), "audio_b": long})) == 3
    model.close()


def test_what_was_heard_is_let_go_of(sounds: Callable[..., Path]) -> None:
    model = MusicReward(CHECKPOINT)
    found, decoded = [], []
    for _ in range(3):
        found += scores_of(model, [{"audio": sounds(1.2, seed=31), "text": "jazz"}])
        decoded.append(round(model.spent()["decoded_seconds"], 3))
        if len(found) == 2:
            model.free()
    model.close()
    assert found[0] == found[1] == found[2]
    assert decoded == [1.2, 1.2, 2.4]


def test_decoded_sounds_can_be_kept_in_a_folder(tmp_path: Path, sounds: Callable[..., Path]) -> None:
    found = []
    for _ in range(2):
        model = MusicReward(CHECKPOINT, wave_cache=tmp_path / "waves")
        found += scores_of(model, [{"audio": sounds(1.2, rate=44_100, seed=30)}])
        decoded = model.spent()["decoded_seconds"]
        model.close()
    assert found[0] == found[1]
    assert decoded == 0


def test_the_threads_of_others_keep_their_settings(sounds: Callable[..., Path]) -> None:
    before, seen = torch.get_num_threads(), []
    model = MusicReward(CHECKPOINT, workers=3)
    scores_of(model, [{"audio": sounds(0.5, seed=place)} for place in range(4)])
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    model.close()
    assert [torch.get_num_threads(), *seen] == [before, before]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_without_a_graphics_card_the_cpu_does_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="there is no cuda:0 here"):
        model = MusicReward(CHECKPOINT, device="cuda:0", bf16=True)
    assert model.remarks == ("there is no cuda:0 here: the scores are computed on the CPU",)
    assert (model.device.type, model.bf16) == ("cpu", False)
    model.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert MusicReward(CHECKPOINT, device="auto").remarks == ()
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"audio-path": str(TINY / "a.wav"), "musicality": 3}))
    words = ["--model", str(CHECKPOINT), "device=cuda:0", "--data", str(rows), "--out", str(tmp_path / "run")]
    assert main(["score", *words]) == 0
    assert capsys.readouterr().err.count("there is no cuda:0 here") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "best"}, "there is no mode 'best'"),
        ({"max_dur": 0}, "max_dur=0"),
        ({"dur_step": 5}, "dur_step=5"),
        ({"mode": "standard", "max_dur": 30, "dur_step": -1}, "dur_step=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"workers": 0}, "workers=0"),
        ({"device": "gpu"}, "there is no kind of device 'gpu'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        MusicReward(CHECKPOINT, **options)


def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ModelError, match="is no safetensors file"):
        open_model("music-reward", checkpoint=tmp_path / "model.pt")
    with pytest.raises(ModelError, match="there is no checkpoint"):
        open_model(tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"has no option 'max_duration'"):
        open_model(CHECKPOINT, max_duration=3)
    with pytest.raises(UsageError, match="needs checkpoint"):
        open_model("music-reward")


def test_identities_tell_apart_what_scores_apart(tmp_path: Path) -> None:
    other = make_reward_checkpoint(tmp_path)
    options: list[dict[str, Any]] = [
        {}, {"batch_size": 2, "workers": 1}, {"max_dur": 30}, {"mode": "standard"},
        {"mode": "standard", "dur_step": 60},
    ]  # fmt: skip
    models = [MusicReward(CHECKPOINT, **some) for some in options] + [MusicReward(other)]
    identities = [json.dumps(model.identity()) for model in models]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 5
    for model in models:
        model.close()


def test_an_evaluation_of_rated_pieces_and_pairs(
    model: MusicReward, sounds: Callable[..., Path], tmp_path: Path
) -> None:
    samples = []
    for place in range(12):
        asked: dict[str, Any] = {"audio": Part("audio", Sound(sounds(0.5, seed=place))), "text": "x"}
        target: dict[str, Any] = {"musicality": float(place), "alignment": float(-place)}
        if place >= 8:
            asked["audio_b"] = Part("audio", Sound(sounds(0.5, seed=place + 100)))
            target = {"preference": "a", "musicality": "b", "alignment": "both"}
        samples.append(Sample(str(place), asked, target, meta={"dataset": "PAM" if place < 8 else "Arena"}))
    run = evaluate(model, preference(data=samples), out=tmp_path / "run")
    assert run.about["state"] == "done"
    spent = run.about["spent"]
    assert spent["pieces"] == 16
    assert spent["audio_seconds"] == pytest.approx(8.0)
    assert {"decoding", "decoded_seconds", "network", "scoring"} <= set(spent)
    alone = {
        record.sample.id: scores_of(model, [dict(samples[int(record.sample.id)].input)])[0]
        for record in run.records()
    }
    for record in run.records():
        assert apart(record.response.scores, alone[record.sample.id]) < 1e-5
        assert record.response.cost is not None

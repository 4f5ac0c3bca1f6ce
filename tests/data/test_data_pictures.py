"""Columns of pictures: found by name and look, taken out of rows, relative to the file they stand in."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image as PILImage

from steelyard import Data, Image, Record, Request, Response, Run, Sample
from steelyard.data import tables
from steelyard.errors import DataError, MissingExtra, UsageError
from steelyard.media.images import as_image
from steelyard.store import Answered, digest
from steelyard.types import Part


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (8, 6), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    for colour in ("red", "green", "blue"):
        (tmp_path / "scans" / f"{colour}.png").write_bytes(png(colour))
    return tmp_path


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def names(sample: Sample) -> list[str]:
    return [image.name for image in sample.meta["images"]]


def rows_of(*values: Any, column: str = "image") -> list[dict[str, Any]]:
    return [{"question": "Which colour?", "answer": "red", column: value} for value in values]


def test_paths_are_relative_to_the_file_of_the_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    (sample,) = Data(write(folder / "data.jsonl", rows_of("scans/red.png")))
    assert sample.input == "Which colour?"
    assert [*sample.meta] == ["question", "answer", "images"]
    (image,) = sample.meta["images"]
    assert isinstance(image, Image)
    assert image.reference()["image"] == "scans/red.png"
    assert image.open().getpixel((0, 0)) == (255, 0, 0)


def test_every_file_has_a_folder_of_its_own(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "one.png").write_bytes(png())
    write(folder / "a.jsonl", rows_of("scans/red.png"))
    write(other / "b.jsonl", rows_of("one.png"))
    for data in (
        Data(folder),
        Data(folder, sample=2),
        Data(lambda: folder),
        Data([*folder.rglob("*.jsonl")]),
    ):
        assert [sample.meta["images"][0].size() for sample in data] == [(8, 6)] * 2


def test_another_folder_can_be_named(folder: Path) -> None:
    path = write(folder / "data.jsonl", rows_of("red.png"))
    (sample,) = Data(path, image_root=folder / "scans")
    assert sample.meta["images"][0].size() == (8, 6)
    assert Data(path, image_root=folder).identity() == Data(path).identity()
    with pytest.raises(UsageError, match="image_root is 'nowhere'"):
        Data(path, image_root="nowhere")


def test_rows_in_memory_are_relative_to_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (sample,) = Data(rows_of("scans/red.png"))
    assert sample.meta["images"][0].size() == (8, 6)


@pytest.mark.parametrize(
    "column", ["images", "image", "pages", "page", "image_path", "img", "picture", "pdf", "file_name"]
)
def test_usual_names(column: str, folder: Path) -> None:
    (sample,) = Data(write(folder / "data.jsonl", rows_of("scans/red.png", column=column)))
    assert names(sample) == ["scans/red.png"]
    assert column == "images" or column not in sample.meta


def test_one_column_that_is_named_or_several(folder: Path) -> None:
    row = {"question": "q", "image": "scans/red.png", "left": "scans/green.png", "document": "scans/blue.png"}
    path = write(folder / "data.jsonl", [row])
    assert [names(sample) for sample in Data(path)] == [["scans/red.png"]]
    (sample,) = Data(path, images="left")
    assert names(sample) == ["scans/green.png"]
    assert sample.meta["image"] == "scans/red.png"
    (sample,) = Data(path, images=["document", "left"])
    assert names(sample) == ["scans/blue.png", "scans/green.png"]
    with pytest.raises(DataError, match=r"the column 'right'.*images=COLUMN"):
        [*Data(path, images="right")]
    assert Data(path, images="left").identity() != Data(path).identity()


def test_a_named_column_has_no_other_role(folder: Path) -> None:
    path = write(folder / "data.jsonl", [{"document": "scans/red.png", "text": "red", "label": "a"}])
    (sample,) = Data(path, images="document", target="label")
    assert (sample.input, sample.target) == ("red", "a")


def test_numbered_columns_belong_together_in_the_order_of_their_numbers() -> None:
    columns = {f"image_{number}": None for number in (10, 1, 2, 3)}
    rows = [
        {"question": "none", **columns},
        {"question": "two", **columns, "image_10": png("blue"), "image_2": png("red")},
        {"question": "one", **columns, "image_1": png("green")},
        {"question": "more", **columns, "image_11": png("red"), "image_1": png("green")},
    ]
    samples = [*Data(rows)]
    assert [len(sample.meta.get("images", ())) for sample in samples] == [0, 2, 1, 2]
    colours = [image.open().getpixel((0, 0)) for image in samples[1].meta["images"]]
    assert colours == [(255, 0, 0), (0, 0, 255)]
    assert not any(name.startswith("image_") for sample in samples[1:] for name in sample.meta)


def test_a_text_in_such_a_column_stays_a_text() -> None:
    rows = [
        {"text": "a", "image": "a cat on a mat", "page": 3, "pages": None, "url": "http://host/x.png"},
        {"text": "b", "image": "a dog", "page": 4, "pages": None, "url": "http://host/y.png"},
    ]
    samples = [*Data(rows)]
    assert [dict(sample.meta) for sample in samples] == rows


def test_a_column_may_be_empty_at_first(folder: Path) -> None:
    path = write(folder / "data.jsonl", rows_of(None, "", "scans/red.png", None, [], ["scans/red.png"] * 2))
    samples = [*Data(path)]
    assert [len(sample.meta.get("images") or ()) for sample in samples] == [0, 0, 1, 0, 0, 2]
    path = write(folder / "late.jsonl", [{"question": "q"}, *rows_of("scans/red.png"), {"question": "q"}])
    with pytest.raises(DataError, match="no column 'answer'"):
        [*Data(path)]
    path = write(folder / "late.jsonl", [{"question": "q"}, {"question": "q", "image": "scans/red.png"}])
    assert [len(sample.meta.get("images", ())) for sample in Data(path)] == [0, 1]


def test_lists_in_cells_of_a_csv(folder: Path) -> None:
    path = folder / "data.csv"
    path.write_text('question,images\nq,"[""scans/red.png"", ""scans/blue.png""]"\nq,\nq, scans/red.png\n')
    assert [names(sample) for sample in Data(path)] == [
        ["scans/red.png", "scans/blue.png"], [], ["scans/red.png"],
    ]  # fmt: skip


def test_a_picture_may_be_all_that_is_asked_about(folder: Path) -> None:
    (sample,) = Data(write(folder / "data.jsonl", [{"image": "scans/red.png", "label": "red"}]))
    assert (sample.input, sample.target) == ("", "red")
    with pytest.raises(DataError, match="a column for the input"):
        [*Data([{"image": "a cat", "label": "red"}])]


def test_a_document_is_its_pages(folder: Path) -> None:
    sheets = [PILImage.new("RGB", (8, 6)) for _ in range(3)]
    sheets[0].save(folder / "letter.pdf", save_all=True, append_images=sheets[1:])
    rows = rows_of("letter.pdf", "letter.pdf#page=2", "missing.pdf", column="document")
    samples = [*Data(write(folder / "data.jsonl", rows), images="document")]
    assert [len(sample.meta["images"]) for sample in samples] == [3, 1, 1]
    with pytest.raises(DataError, match=r"no picture missing\.pdf"):
        samples[2].meta["images"][0].open()


def test_a_picture_that_is_missing_is_no_bad_row(folder: Path) -> None:
    (sample,) = Data(write(folder / "data.jsonl", rows_of("scans/pink.png")))
    with pytest.raises(DataError, match=r"there is no picture scans/pink.png \(looked for /"):
        sample.meta["images"][0].open()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "a picture in 'image', saw 'something of the type int is no picture'"),
        ({"caption": "x"}, "no picture in an object with caption"),
        ("data:image/png;base64,###", "is not base64"),
        ("[scans/red.png", "pictures as a JSON list in 'image'"),
        (
            "https://me:pass@host/x.png?key=word",
            r"https://\*\*\*@host/x.png\?key=\*\*\* is on another machine",
        ),
    ],
)
def test_what_is_no_picture_is_a_bad_row(value: Any, said: str, folder: Path) -> None:
    path = write(folder / "data.jsonl", rows_of("scans/red.png", value, "scans/blue.png"))
    with pytest.raises(DataError, match=f"line 2: expected .*{said}") as error:
        [*Data(path)]
    assert "pass" not in str(error.value)
    assert "word" not in str(error.value)
    data = Data(path, on_bad_row="skip")
    assert [names(sample) for sample in data] == [["scans/red.png"], ["scans/blue.png"]]
    assert data.skipped == 1


def test_addresses_are_taken_only_where_they_are_allowed() -> None:
    rows = rows_of("http://host/x.png")
    for named in ("image", None):
        with pytest.raises(DataError, match="--allow-remote-images"):
            [*Data(rows, images=named)]
    (sample,) = Data(rows, allow_remote_images=True)
    assert names(sample) == ["http://host/x.png"]
    (sample,) = Data(rows, images="none")
    assert sample.meta["image"] == "http://host/x.png"
    assert "images" not in sample.meta
    for given in ("http://host/x.png", ["a.png"], {"path": "a.png"}, b"\x89PNG\r\n\x1a\n"):
        (sample,) = Data([{"question": "q", "images": given}], images="none")
        assert "images" not in sample.meta
    assert Data(rows, allow_remote_images=True).identity() == Data(rows).identity()


def test_turns_of_a_chat_hold_pictures(folder: Path) -> None:
    text, place = {"type": "text", "text": "Which?"}, {"type": "image"}
    url = {"url": "scans/red.png", "detail": "low"}
    parts = [{"type": "image", "path": "scans/red.png"}, {"type": "image_url", "image_url": url}, text, place]
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    path = write(folder / "data.jsonl", [{"messages": turns}])
    (sample,) = Data(path)
    first, second, *rest = sample.input[1]["content"]
    assert as_image(first).size() == as_image(second).size() == (8, 6)
    assert second["image_url"]["detail"] == "low"
    assert rest == [text, place]
    assert sample.meta["messages"] is sample.input
    assert sample.input[0] == turns[0]
    with pytest.raises(DataError, match="a picture in 'content'"):
        [*Data(write(folder / "bad.jsonl", [{"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "s3://x/y.png"}}]}]}]))]  # fmt: skip


def test_samples_may_hold_pictures_already(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    image = Image("scans/red.png")
    given = [
        Sample("1", "q", meta={"images": (image,)}),
        Sample("2", "q", meta={"images": ["scans/red.png"]}),
        Sample("3", "q", meta={"images": "a cat"}),
        Sample("4", "q"),
    ]
    samples = [*Data(given)]
    assert samples[0] is given[0]
    assert names(samples[1]) == ["scans/red.png"]
    assert samples[2] is given[2]
    assert samples[3] is given[3]


def test_encoded_pictures_in_other_columns_become_small() -> None:
    (sample,) = Data([{"question": "q", "image": png(), "thumb": {"bytes": png("blue"), "path": "t.png"},
                       "faces": [png()], "raw": b"no picture"}])  # fmt: skip
    assert [image.size() for image in (sample.meta["thumb"], *sample.meta["faces"])] == [(8, 6)] * 2
    assert sample.meta["raw"] == b"no picture"


def test_pictures_of_the_datasets_library_stay_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    red = PILImage.open(io.BytesIO(png()))
    made = datasets.Dataset.from_list([{"question": "q", "image": red, "others": [red, red]}] * 3)
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "rows.parquet")
    features = made.features
    monkeypatch.setattr(datasets.Image, "decode_example", lambda *_, **__: pytest.fail("decoded"))
    for source in (made, made.to_iterable_dataset(), f"hub:{tmp_path / 'saved'}", tmp_path / "rows.parquet"):
        samples = [*Data(source, images=["image", "others"])]
        assert [len(sample.meta["images"]) for sample in samples] == [3] * 3
        assert samples[0].meta["images"][0].read() == png()
    assert Data(made).size() == 3
    assert made.features == features
    assert "content" in Data(made).identity()


def test_pictures_in_an_archive_are_fetched(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        rows = [{"file_name": f"{colour}.png", "question": colour} for colour in ("red", "blue")]
        for row in rows:
            archive.writestr(row["file_name"], png(row["question"]))
        archive.writestr("metadata.jsonl", "\n".join(map(json.dumps, rows)))
    for sample in Data(f"hub:{tmp_path}"):
        assert sample.meta["images"][0].read() == png(sample.input)


def test_large_rows_of_a_table_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    body = [{"bytes": png() + os.urandom(1 << 16), "path": None} for _ in range(300)]
    table = pyarrow.table({"question": ["q"] * 300, "image": body})
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=150)
    metadata = parquet.read_metadata(tmp_path / "rows.parquet")
    assert 400 < tables._fitting(metadata) < 600
    assert sum(sample.meta["images"][0].size() == (8, 6) for sample in Data(tmp_path / "rows.parquet")) == 300
    assert len([*Data(table)]) == 300
    assert tables._at_once(1 << 30, 1) == 1
    assert tables._at_once(0, 0) == 1
    assert tables._at_once(1000, 1000) == 1024


def test_memory_does_not_grow_with_the_pictures_of_a_table(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    body = os.urandom(200_000)
    writer = None
    for _ in range(15):
        cells = [{"bytes": png() + bytes([number]) + body, "path": None} for number in range(100)]
        table = pyarrow.table({"question": ["q"] * 100, "image": cells})
        writer = writer or parquet.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table)
    writer.close()
    del cells, table, writer
    samples = iter(Data(path))
    memory = []
    for count in (500, 1000):
        for _, sample in zip(range(count), samples):
            sample.meta["images"][0].open()
        memory.append(psutil.Process().memory_info().rss)
    # What is read meanwhile is 200 MB.
    assert memory[1] - memory[0] < 100_000_000


def test_a_library_that_is_missing_stops_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"steelyard\[images\]"):
        [*Data(rows_of("a.png"))]


def ask(sample: Sample) -> Request:
    parts = [*(Part("image", image) for image in sample.meta["images"]), Part("text", str(sample.input))]
    return Request(sample.id, [{"role": "user", "content": parts}])


def in_memory() -> list[Any]:
    array = np.arange(8 * 6 * 3, dtype="uint8").reshape(6, 8, 3)
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    return [png(), {"bytes": png(), "path": "x.png"}, url, array, PILImage.fromarray(array)]


def test_records_hold_what_pictures_were_and_are_known_again(folder: Path) -> None:
    path = write(folder / "data.jsonl", rows_of("scans/red.png", ["scans/green.png"] * 2, "scans/none.png"))
    for number, source in enumerate((path, rows_of(*in_memory()))):
        run = Run.create(folder / f"run{number}", {"identity": {}})
        asked = [(sample, ask(sample)) for sample in Data(source)]
        for index, (sample, request) in enumerate(asked):
            run.add(Record(index, sample, request, Response("red")))
        run.close()
        assert len(run.log.read_bytes()) < 700 * len(asked)
        answered = Answered()
        for record, (sample, request) in zip(Run.open(run.path).records(), asked):
            answered.add(record)
            assert digest(record.sample, record.request) == digest(sample, request)
            references = [image.reference() for image in sample.meta["images"]]
            assert record.sample.meta["images"] == references
            assert [part.data for part in record.request.prompt[0]["content"][:-1]] == references
        # As another run of the program finds them.
        again = [(sample, ask(sample)) for sample in Data(source)]
        assert all(answered.has(index, *one) for index, one in enumerate(again))


def test_a_picture_that_changed_is_another_question(folder: Path) -> None:
    path = write(folder / "data.jsonl", rows_of("scans/red.png"))
    (sample,) = Data(path)
    before = digest(sample, ask(sample))
    (folder / "scans" / "red.png").write_bytes(png("pink"))
    (sample,) = Data(path)
    assert digest(sample, ask(sample)) != before


def test_a_pil_picture_that_ended_up_in_meta_is_stored_small(tmp_path: Path) -> None:
    sample = Sample("1", "q", meta={"scan": PILImage.new("RGB", (500, 500))})
    run = Run.create(tmp_path / "run", {"identity": {}})
    run.add(Record(0, sample, Request("1", "q"), Response("a")))
    run.close()
    (record,) = run.records()
    assert record.sample.meta["scan"].keys() == {"digest"}

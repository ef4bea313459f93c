"""The page as a file: self-contained, escaped, small, complete, whatever the input."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ctfast.analysis import Analysis, analyze, write_report, write_single_report
from ctfast.analysis.flags.rules import RULES
from ctfast.analysis.pages.text import fact_tables, tiles
from ctfast.analysis.pages.thumbnails import MOST_PICTURED, chosen_slices
from ctfast.errors import UsageError
from ctfast.files import write_image
from ctfast.pipeline import Pipeline
from ctfast.tools.synth import write_set
from tests.analysis.analysis_build import EVIL, body, page_data


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_comes_from_outside(page: Path) -> None:
    for tag, attributes in Elements(page).found:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    text = page.read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_ids_are_unique_and_links_lead_somewhere(page: Path) -> None:
    elements = Elements(page).found
    ids = [a["id"] for _, a in elements if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for t, a in elements if t == "a" and str(a.get("href", "")).startswith("#")}
    assert targets <= set(ids)


def test_every_value_is_escaped(page: Path) -> None:
    assert not [a for t, a in Elements(page).found if t == "img" and a.get("src") == "x"]
    assert f"{EVIL}.tif" in page_data(page)["names"]
    assert "onerror" not in " ".join(str(a) for t, a in Elements(page).found)


def test_numbers_on_the_page_are_those_of_the_analysis(page: Path, analysis: Analysis) -> None:
    data = page_data(page)
    for key in ("mean", "sd", "median", "contrast_band_share", "age"):
        column = next(i for i, c in enumerate(data["columns"]) if c["key"] == key)
        shown = [row[column] for row in data["rows"]]
        expected = [r.stats.get(key, r.facts.get(key)) for r in analysis.records]
        for a, b in zip(shown, expected, strict=True):
            assert a == b if b is None else a == pytest.approx(b, rel=1e-6)


def test_every_flag_stands_with_its_rule(page: Path, analysis: Analysis) -> None:
    text = page.read_text()
    for key in {f.rule.key for f in analysis.flags}:
        assert f'id="flag-{key}"' in text
    listed = sum(len(d) for d in page_data(page)["details"])
    assert listed == sum(len(f.slices) for f in analysis.flags)
    assert text.lower().count("not a medical device") >= 2
    assert "never a diagnosis" in text
    assert "broken.tif" in text
    assert "notes.txt" in text


def test_pictures(page: Path, analysis: Analysis) -> None:
    data = page_data(page)
    titles = [k["title"] for k in data["kinds"]]
    assert titles[0] == "mediastinum window (50/350 HU); values that are no HU: 1st to 99th percentile as grey"
    assert "tissues by HU" in titles
    assert any(title.startswith("step 4: clahe") for title in titles)
    assert len(data["pictures"]) == len(analysis.records)
    for index, uris in data["pictures"].items():
        assert uris[0].startswith("data:image/jpeg;base64,")
        tissues = uris[titles.index("tissues by HU")]
        assert (tissues is None) == (analysis.records[int(index)].units != "hu")


def test_the_reason_for_no_tissues_is_shown(page: Path) -> None:
    assert re.search(r"No tissues are named in 2 slices: .*names no rescale to HU; unit unknown", page.read_text())


def test_a_set_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").write_bytes(b"no image")
    out = write_report(analyze(tmp_path / "in"), tmp_path / "empty.html")
    assert "No image was found or read in the inputs." in out.read_text()


def test_a_title_is_escaped_and_one_slice_is_a_set_too(tmp_path: Path) -> None:
    write_image(tmp_path / "in" / "a.tif" if (tmp_path / "in").mkdir() is None else tmp_path, body(), units="hu")
    pipeline = Pipeline([{"operation": "label_tissue"}, {"operation": "summary"}])
    out = write_report(analyze(tmp_path / "in"), tmp_path / "one.html", title=EVIL, pipeline=pipeline)
    text = out.read_text()
    assert "<title>&lt;img" in text
    assert [k["title"] for k in page_data(out)["kinds"]][-1] == "step 1: label_tissue"


def test_large_sets_are_sampled(analysis: Analysis) -> None:
    from ctfast.analysis.flags.rules import Flag
    from ctfast.analysis.scan.records import Collection

    records = [analysis.records[0]] * 5000
    flags = tuple(Flag(rule, (4000 + i,), "") for rule in list(RULES.values())[:3] for i in range(50))
    chosen = chosen_slices(Analysis(Collection(("x",), records), flags))
    assert len(chosen) <= MOST_PICTURED
    assert {4000, 4023} <= set(chosen)
    assert min(chosen) < 100
    assert max(chosen) > 4900


def test_single_page(tmp_path: Path) -> None:
    name = "ID_0007_AGE_0061_CONTRAST_1_CT.tif"
    write_image(tmp_path / name, body(200), units="hu", spacing=(0.7, 0.7))
    out = write_single_report(analyze(tmp_path / name), tmp_path / "one.html")
    text = out.read_text()
    for part in ("normalised", "denoised", "enhanced", "Box plot by tissue", "Histogram", "Neighbouring pixels",
                 "ID_0007", "SHA-256", "Area, cm²", "contrast", "Not a medical device"):  # fmt: skip
        assert part in text, part
    images = [a for t, a in Elements(out).found if t == "img"]
    assert len(images) >= 8
    assert all(a["alt"] for a in images)


def test_single_page_of_other_values(tmp_path: Path, rng: np.random.Generator) -> None:
    np.save(tmp_path / f"{EVIL.replace('/', '')}.npy", rng.random((30, 40)))
    (path,) = tmp_path.iterdir()
    out = write_single_report(analyze(path), tmp_path / "one.html")
    text = out.read_text()
    assert "No tissues are named: unit unknown" in text
    assert not [a for t, a in Elements(out).found if t == "img" and a.get("src") == "x"]


def test_single_page_needs_one_slice(analysis: Analysis, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exactly one"):
        write_single_report(analysis, tmp_path / "x.html")


def test_slices_are_grouped_by_series(tmp_path: Path) -> None:
    """Synthetic patients have two slices each, which are a series."""
    write_set(tmp_path / "set", count=6, size=64)
    analysis = analyze(tmp_path / "set" / "dicom_dir")
    assert {(t["name"], t["value"], t["more"]) for t in tiles(analysis)} >= {
        ("Series", "3", "by Series Instance UID, 2 slices in the largest")
    }
    table = next(t for t in fact_tables(analysis) if t["title"] == "Series")
    assert [n for _, n, _ in table["rows"]] == [2, 2, 2]
    assert all(str(name).startswith("SE-") for name, _, _ in table["rows"])
    first = sorted((tmp_path / "set" / "dicom_dir").iterdir())[::2]
    assert "Series" not in {t["title"] for t in fact_tables(analyze(first))}

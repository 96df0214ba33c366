"""The arithmetic of the cost page, and the picture of the load page."""

from xml.etree import ElementTree as ET

import pytest

from tests.bench.cost import Counted, lines
from tests.bench.curves import Curve, svg


def test_a_million_calls_cost_what_their_parts_do() -> None:
    check = Counted(commands=6, waits=1, cpu_ms=1.024)
    event = Counted(commands=7, waits=0.2, cpu_ms=0.512)
    by_url, direct, settled, whole, whole_direct = lines(check, event, puts=0.04)

    assert by_url.upstash == pytest.approx(12.00)
    assert by_url.billed_ms == 5  # 1.024 of 512/1769 is 3.538, and one of waiting: rounded up
    gb_s = 1_000_000 * 0.005 * 0.5
    assert by_url.aws_lambda == pytest.approx(0.20 + gb_s * 0.0000133334)
    assert (direct.total, direct.billed_ms) == (pytest.approx(12.00), 0)
    assert settled.upstash == pytest.approx(14.00)
    assert settled.sqs == pytest.approx(0.12)
    assert settled.s3 == pytest.approx(0.20)
    invoked = (0.1 + 0.04) * 0.20
    assert settled.aws_lambda == pytest.approx(invoked + 1.969 * 0.5 * 1_000 * 0.0000133334)
    assert whole.total == pytest.approx(by_url.total + settled.total)
    assert whole_direct.total == pytest.approx(direct.total + settled.total)


def test_the_picture_has_a_point_for_each_level() -> None:
    picture = svg([Curve("a <b>", [(1, 50.0), (2, 100.0)]), Curve("c", [(1, 0.0), (2, 10.0)])], "&")
    root = ET.fromstring(picture)
    circles = [each for each in root.iter() if each.tag.endswith("circle")]
    assert len(circles) == 4
    heights = [float(each.attrib["cy"]) for each in circles]
    assert heights[1] < heights[0] < heights[2]  # more is higher up

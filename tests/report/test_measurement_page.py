import re
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from fovea.errors import UsageError
from fovea.measurement.network import measure_network
from fovea.measurement.tables import Choice
from fovea.report.measurement import measurement_page


def page(choice=None, **options):
    model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 13 * 13, 10))
    measured = measure_network(model, (1, 31, 31), name='<i>"net"</i>')
    return measurement_page(measured, choice or Choice(), **options)


def svg(html):
    return ElementTree.fromstring(re.search(r"<svg.*?</svg>", html, re.DOTALL).group())


def test_the_graph_is_well_formed_with_a_title_to_show_for_each_box():
    boxes = svg(page()).findall("g")
    assert len(boxes) == 5
    assert boxes[1].find("title").text.startswith("0 (Conv2d)\nin: 1x31x31\nout: 6x27x27\n156 parameters")


def test_the_page_has_the_table_the_totals_and_the_conventions():
    html = page(lines=["Peak memory: much & more."])
    assert '<td class="number">156</td>' in html
    # 5x5x1 weights on 27x27x6 outputs, and the dense layer
    assert f"{25 * 27 * 27 * 6 + 1014 * 10:,} MACs" in html
    assert "1 MAC = 1 multiply-add = 2 FLOPs" in html and "Peak memory: much &amp; more." in html
    assert "(27 - 2) / 2 + 1 = 13.5" in html


def test_a_sum_that_lacks_some_is_the_least_it_can_be():
    class Spectrum(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(16, 2)

        def forward(self, x):
            return self.dense(torch.fft.fft(x.flatten(1)).real)

    measured = measure_network(Spectrum(), (1, 4, 4), name="net")
    assert "<span>MACs an image, at least</span><b>32</b>" in measurement_page(measured, Choice())
    assert "at least" not in page()


def test_names_are_text_and_nothing_is_fetched_or_run():
    html = page()
    assert '<i>"net"' not in html and "&lt;i&gt;" in html
    assert not re.search(r"<script|https?://|\son\w+=|<link|@import", html)


def test_depth_sort_and_top_choose_the_rows():
    html = page(Choice(sort="macs", top=1))
    assert html.count("<tr>") == 2 and len(svg(html).findall("g")) == 5


def test_an_unknown_column_is_refused():
    with pytest.raises(UsageError, match="Unknown column `speed`"):
        page(Choice(sort="speed"))

"""Every transaction locks images in the same order, whatever it reads of them."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import postgresql

from registry_ui.models import ContainerImage

CONDITION = ContainerImage.path == "acme/app"


@pytest.mark.parametrize("select", [ContainerImage.select_locked, ContainerImage.select_ids_locked])
def test_images_are_locked_by_their_ids_and_rows_that_refer_to_them_can_be_inserted(select):
    sql = str(select(CONDITION).compile(dialect=postgresql.dialect()))
    assert sql.endswith("ORDER BY container_images.id FOR NO KEY UPDATE")


def test_images_are_read_anew_after_the_lock():
    assert ContainerImage.select_locked(CONDITION).get_execution_options()["populate_existing"]


def test_a_lock_by_ids_reads_no_other_column():
    assert ContainerImage.select_ids_locked(CONDITION).selected_columns.keys() == ["id"]

"""Long sequences, and the rows of long queries, are worked through in batches."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from registry_ui.batches import split_into_batches
from registry_ui.db.keyset import select_in_batches


class Base(DeclarativeBase):
    """The base of the table of these tests."""


class Pull(Base):
    """A pull of an image; several pulls can be of the same image."""

    __tablename__ = "pulls"

    id: Mapped[int] = mapped_column(primary_key=True)
    image: Mapped[str]


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def add(session, **image_by_id):
    session.add_all(Pull(id=int(key[1:]), image=image) for key, image in image_by_id.items())
    session.commit()


@pytest.mark.parametrize(
    ("items", "batches"),
    [
        ([], []),
        ("a", [["a"]]),
        ("abc", [["a", "b", "c"]]),
        ("abcd", [["a", "b", "c"], ["d"]]),
        ({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}, [["a", "b", "c"], ["d", "e", "f"]]),
        (iter(range(4)), [[0, 1, 2], [3]]),
    ],
)
def test_items_are_split_in_their_order_and_the_last_batch_can_be_shorter(items, batches):
    assert list(split_into_batches(items, 3)) == batches


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_item(size):
    with pytest.raises(ValueError, match=f"a batch can't have {size} items"):
        next(split_into_batches("abc", size))


def test_rows_are_read_in_the_order_of_their_keys_and_each_once(session):
    add(session, n5="web", n1="web", n9="api", n3="api", n2="db")
    batches = select_in_batches(session, select(Pull.id, Pull.image), Pull.id, 2)
    assert [[tuple(row) for row in rows] for rows in batches] == [
        [(1, "web"), (2, "db")],
        [(3, "api"), (5, "web")],
        [(9, "api")],
    ]


def test_no_rows_are_no_batch(session):
    assert list(select_in_batches(session, select(Pull.id), Pull.id, 2)) == []


def test_a_key_of_several_rows_is_read_once_if_the_query_is_distinct(session):
    add(session, n1="web", n2="api", n3="web", n4="db", n5="db")
    query = select(Pull.image).distinct()
    batches = select_in_batches(session, query, Pull.image, 2)
    assert [list(rows) for rows in batches] == [[("api",), ("db",)], [("web",)]]


def test_the_conditions_of_the_query_hold_for_each_batch(session):
    add(session, n1="web", n2="api", n3="web", n4="web")
    query = select(Pull.id).where(Pull.image == "web")
    batches = select_in_batches(session, query, Pull.id, 2)
    assert [list(rows) for rows in batches] == [[(1,), (3,)], [(4,)]]


def test_rows_can_be_added_and_deleted_between_two_batches(session):
    add(session, n2="web", n4="web", n6="web", n8="web")
    ids = []
    for rows in select_in_batches(session, select(Pull.id), Pull.id, 2):
        ids += [id_ for (id_,) in rows]
        if ids == [2, 4]:
            session.delete(session.get_one(Pull, 6))
            add(session, n3="too late", n9="in time")
    assert ids == [2, 4, 8, 9]

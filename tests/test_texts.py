from fovea.texts import natural_key


def test_numbers_in_names_sort_by_value():
    assert sorted(["10", "9", "b", "a2", "a10", "a02"], key=natural_key) == ["9", "10", "a02", "a2", "a10", "b"]

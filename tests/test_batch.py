"""What a command line names becomes inputs, and each has a result of its own."""

from seedvr_engine.batch import named_sources


def test_files_of_one_stem_in_one_folder_keep_their_suffixes_in_their_results_names(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.mov", "a.mp4", "b.mp4", "sub/a.mp4"):
        (tmp_path / name).touch()
    named = {str(s.path.relative_to(tmp_path)): s.name for s in named_sources([tmp_path], as_sequences=False)}
    assert named == {"a.mov": "a.mov", "a.mp4": "a.mp4", "b.mp4": None, "sub/a.mp4": None}
    one = named_sources([tmp_path / "a.mov"], as_sequences=False)
    assert one[0].name is None


def test_files_of_one_stem_from_several_folders_come_together_under_their_folders_names(tmp_path):
    paths = [tmp_path / name for name in ("1990/a.mp4", "1991/a.mov", "1991/a.mp4", "1991/b.mp4", "c.mp4")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    named = [source.name for source in named_sources(paths, as_sequences=False, into_folder=True)]
    assert named == [None, "a.mov", "a.mp4", None, None]
    folders = [tmp_path / "1990", tmp_path / "1991"]
    found = named_sources([folders[0], paths[3], paths[2]], as_sequences=False, into_folder=True)
    assert [source.name for source in found] == ["1990_a", None, "1991_a"]
    beside = named_sources([folders[0], paths[2]], as_sequences=False)
    assert [source.name for source in beside] == [None, None]

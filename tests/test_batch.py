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

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(params=["twitter2015", "twitter2017"])
def real_corpus(request):
    """The folder of a real corpus, where there is one beside the repository."""
    folder = REAL_DATA / request.param
    if not folder.is_dir():
        pytest.skip(f"the real tweets are not part of the project, and {folder} is not there")
    return folder

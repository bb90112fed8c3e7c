"""Where the notebooks' pages lead to: the right addresses, or none; paths that are there."""

from urllib.parse import parse_qs, urlsplit

import pytest

from .test_docs import ROOT, script

made = script("notebook_pages")
Repository, repository = made.Repository, made.repository
NOTEBOOKS = sorted(path.name for path in (ROOT / made.FOLDER).glob("*.ipynb"))


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/acme/router.git",
        "https://github.com/acme/router",
        "https://token@github.com/acme/router.git",
        "git@github.com:acme/router.git",
        "ssh://git@github.com/acme/router.git",
    ],
)
def test_a_remote_on_github_is_the_repository(remote: str) -> None:
    assert repository({}, remote) == Repository("acme/router", "main")


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/router",
        "https://example.org/acme/router.git",
        "https://github.com.evil.org/a/b",
    ],
)
def test_elsewhere_there_is_none_and_no_links(remote: str) -> None:
    assert repository({}, remote) is None
    text = (ROOT / made.FOLDER / NOTEBOOKS[0]).read_text(encoding="utf-8")
    page = made.page(text, NOTEBOOKS[0], None)
    assert "Binder" not in page
    assert "Colab" not in page
    assert "git+https" not in page


def test_the_ci_says_repository_and_ref() -> None:
    ci = {"GITHUB_REPOSITORY": "acme/router", "GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": "v1.2.3"}
    assert repository(ci, "git@github.com:other/fork.git") == Repository("acme/router", "v1.2.3")
    pull = ci | {"GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "12/merge"}
    pull["GITHUB_EVENT_NAME"] = "pull_request"
    assert repository(pull, "") == Repository("acme/router", "main")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_lead_to_the_notebook_of_the_tree(name: str) -> None:
    of = Repository("acme/router", "v1.2.3")
    binder, colab = (urlsplit(address) for address in made.links(of, name).values())
    assert (binder.scheme, binder.netloc) == ("https", "mybinder.org")
    assert binder.path == "/v2/gh/acme/router/v1.2.3"
    (opened,) = parse_qs(binder.query)["urlpath"]
    assert (ROOT / opened.removeprefix("lab/tree/")).is_file()
    assert (colab.scheme, colab.netloc) == ("https", "colab.research.google.com")
    head, _, path = colab.path.partition("/blob/v1.2.3/")
    assert head == "/github/acme/router"
    assert (ROOT / path).is_file()
    assert (ROOT / "docs" / path).is_file()  # Sphinx reads it there

    text = (ROOT / path).read_text(encoding="utf-8")
    page = made.page(text, name, of)
    assert page.startswith("# ")
    for address in made.links(of, name).values():
        assert f"]({address}){{.badge}}" in page
    assert "!pip install 'routingsim[embedded] @ git+https://github.com/acme/router@v1.2.3'" in page
    assert ".ipynb)" not in page.replace(f"{name})", "")  # notebooks link to each other's pages
    assert "$$" not in page  # nothing that needs a script from elsewhere


def test_every_notebook_has_a_page_on_the_site() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [n for n in NOTEBOOKS if f"\n{made.FOLDER}/{n.removesuffix('.ipynb')}\n" not in index]
    assert missing == []

"""Where a model comes from: what cannot be found says what to do. The hub's answers are its documented exceptions."""

import httpx2
import pytest
from huggingface_hub import errors

import voxtral_kernels as vk
from voxtral_kernels.models import hub
from voxtral_kernels.models.voxtral_realtime.model import VoxtralRealtime

TINY = hub.find("tiny")


class Hub:
    """huggingface_hub's calls, without a network."""

    def __init__(self):
        self.asked = {}
        self.original = True
        self.folder = TINY
        self.error = None

    def file_exists(self, api, repository, name, *, revision=None):
        if isinstance(self.original, Exception):
            raise self.original
        return self.original

    def snapshot_download(self, repository, *, revision=None, allow_patterns=None):
        self.asked = {"repository": repository, "revision": revision, "patterns": allow_patterns}
        if self.error is not None:
            raise self.error
        return str(self.folder)


@pytest.fixture
def fake(monkeypatch):
    fake = Hub()
    monkeypatch.setattr("huggingface_hub.snapshot_download", fake.snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi.file_exists", lambda *a, **k: fake.file_exists(*a, **k))
    return fake


def http(kind, status):
    request = httpx2.Request("GET", "https://huggingface.co/api/models/owner/name")
    return kind(f"{status} Client Error.\nmore", response=httpx2.Response(status, request=request))


@pytest.mark.parametrize("original", [True, False])
def test_one_layout_and_no_more_is_downloaded(fake, original):
    fake.original = original
    assert isinstance(vk.load("owner/name"), VoxtralRealtime)
    assert (fake.asked["repository"], fake.asked["revision"]) == ("owner/name", None)
    assert ("consolidated.safetensors" in fake.asked["patterns"]) == original
    assert ("model*.safetensors" in fake.asked["patterns"]) != original


@pytest.mark.fault("models: a revision could not be asked for")
def test_revision(fake):
    vk.load("owner/name", revision="v1")
    assert fake.asked["revision"] == "v1"
    vk.load("owner/name@refs/pr/3")
    assert (fake.asked["repository"], fake.asked["revision"]) == ("owner/name", "refs/pr/3")
    vk.load("owner/name@v1", revision="v1")
    for source, revision, match in (
        ("owner/name@v1", "v2", r"revision: expected 'v1' as in owner/name@v1, or none, got 'v2'\."),
        ("tiny", "v1", r"revision: expected none for what is not on the hub, got 'v1'\."),
        (TINY, "v1", r"revision: expected none for what is not on the hub, got 'v1'\."),
        ("owner/name@", None, r"model: expected .*, got 'owner/name@'"),
    ):
        with pytest.raises(ValueError, match=rf"^\[load\] {match}"):
            vk.load(source, revision=revision)


def test_without_a_network_what_is_cached_is_taken(fake, monkeypatch, tmp_path):
    class ConnectError(Exception):
        """As the HTTP client's: no OSError."""

    fake.original = ConnectError("[Errno -2] Name or service not known")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(tmp_path))
    assert hub.find("owner/name") == TINY
    assert "consolidated.safetensors" in fake.asked["patterns"]


@pytest.mark.fault(
    "models: a gated repository, a wrong name, a wrong revision or no network gave huggingface_hub's words"
)
@pytest.mark.parametrize(
    ("error", "match"),
    [
        (http(errors.GatedRepoError, 403), r"gated: accept its terms at https://.*/owner/name and log in with `hf"),
        (http(errors.RepositoryNotFoundError, 401), r"not exist or is private: log in with `hf auth login` if it"),
        (http(errors.RevisionNotFoundError, 404), r"\[load\] revision: expected a branch, tag or .*, got 'v9'\."),
        (errors.LocalEntryNotFoundError("Got: ConnectError: x\nAn error"), r"the hub cannot be reached \(no network"),
        (http(errors.HfHubHTTPError, 500), r"owner/name: HfHubHTTPError: 500 Client Error\.\.$"),
        (OSError("no network\nand more"), r"can be downloaded, got owner/name: OSError: no network\.$"),
        (OSError(28, "No space left on device"), r"No space left on device\.$"),
        (errors.HFValidationError("Repo id must be"), r"HFValidationError: Repo id must be\.$"),
    ],
)  # fmt: skip
def test_answers_of_the_hub(fake, error, match):
    fake.error = error
    with pytest.raises(ValueError, match=match) as raised:
        vk.load("owner/name", revision="v9")
    assert "\n" not in str(raised.value)


def test_a_repository_of_another_kind(fake, tmp_path):
    fake.folder = tmp_path
    with pytest.raises(ValueError, match=r"expected a repository with params.json or config.json .*GGUF files are not"):
        vk.load("owner/name-GGUF")


@pytest.mark.fault("models: an empty --model or a mistyped folder did not say what was meant")
@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("", r"got an empty text \(is a variable of the shell not set\?\)\.$"),
        ("tinny", r"got 'tinny' \(did you mean tiny\?\)\.$"),
        ("Voxtral-Mini-4B-Realtime-2602", r" \(did you mean mistralai/Voxtral-Mini-4B-Realtime-2602\?\)\.$"),
        ("https://huggingface.co/owner/name/tree/main", r" \(did you mean owner/name\?\)\.$"),
        ("{tmp}/modles/voxtral-4bit", r" \(did you mean {tmp}/models/voxtral-4bit\?\)\.$"),
        ("{tmp}/models/voxtral4bit", r" \(did you mean {tmp}/models/voxtral-4bit\?\)\.$"),
        ("{tmp}/nothing-like-it", r"got '{tmp}/nothing-like-it'\.$"),
        ("~nobody-here/models", r"got '~nobody-here/models'\.$"),
        ("a\0b", r"got 'a\\x00b'\.$"),
        ("x" * 5000, r"got 'x+ \.\.\. x+'\.$"),
    ],
)
def test_did_you_mean(tmp_path, source, match):
    (tmp_path / "models" / "voxtral-4bit").mkdir(parents=True)
    with pytest.raises(ValueError, match=match.format(tmp=tmp_path)) as raised:
        vk.load(source.format(tmp=tmp_path))
    assert str(raised.value).startswith('[load] model: expected "tiny", a folder that exists, or a hub id')


def test_a_mistyped_folder_that_reads_like_a_hub_id(fake, tmp_path, monkeypatch):
    """Where the hub knows none either, the folder that is near is named."""
    (tmp_path / "models" / "voxtral-4bit").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for error in (http(errors.RepositoryNotFoundError, 401), errors.LocalEntryNotFoundError("no network")):
        fake.error = error
        with pytest.raises(ValueError, match=r" \(did you mean models/voxtral-4bit\?\)\.$"):
            vk.load("models/voxtral-4bits")
        with pytest.raises(ValueError, match=r" \(did you mean mistralai/Voxtral-Mini-4B-Realtime-2602\?\)\.$"):
            vk.load("mistralai/Voxtral-Mini-4B-Realtime")


@pytest.mark.fault("models: a broken link was not told from a missing file")
def test_broken_links(golden_folder, tmp_path):
    (tmp_path / "m").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"expected a model's folder, got .*m, a link to .*gone, which is not there\."):
        vk.load(tmp_path / "m")
    for name, folder in (("params.json", "mistral"), ("consolidated.safetensors", "mistral"), ("config.json", "mlx")):
        model = tmp_path / name
        model.mkdir()
        for file in (golden_folder / folder).glob("*"):
            (model / file.name).symlink_to(file)
        (model / name).unlink(missing_ok=True)
        (model / name).symlink_to(tmp_path / "blobs" / "a1b2")
        with pytest.raises(ValueError, match=rf"\[load\] {name}: expected a file, got a link to .*a1b2, which is not"):
            vk.load(model)


@pytest.mark.fault("models: Git LFS pointers were called damaged files")
@pytest.mark.parametrize("name", ["params.json", "consolidated.safetensors", "tekken.json"])
def test_git_lfs_pointers(golden_folder, tmp_path, name):
    for file in (golden_folder / "mistral").glob("*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")
    with pytest.raises(ValueError, match=rf"\] {name}: expected the file itself, got a Git LFS pointer: run `git"):
        vk.load(tmp_path)

"""ComfyUI's model folders: finding files in them, and the paths and names of new files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...common.errors import UiapiError
from ...common.paths import within

# Formats that contain only data, and those that can run code of their author when loaded.
PLAIN_EXTENSIONS = frozenset({".safetensors", ".sft", ".gguf", ".onnx"})
PICKLE_EXTENSIONS = frozenset({".ckpt", ".pt", ".pth", ".bin"})
MODEL_EXTENSIONS = PLAIN_EXTENSIONS | PICKLE_EXTENSIONS

# Folders in ComfyUI's list that are not for model files: code, and configuration that ships with ComfyUI.
CLOSED_FOLDERS = frozenset({"custom_nodes", "configs"})

# The most bytes of one part of a name, unless the file system allows fewer.
MAX_PART = 255
# How many bytes longer the names of temporary files are than the file's own: ".", ".uiapi-json-new".
TEMPORARY_EXTRA = 16
# The most bytes of a whole name, and of a path unless the file system allows fewer.
MAX_NAME = 1000
MAX_PATH = 4095
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
# Windows reserves these device names in every folder, with any extension, and ignores blanks before the extension.
_RESERVED = re.compile(r"(?i)(con|conin\$|conout\$|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?")
# The attributes of ComfyUI's folder_paths with its own folders.
_OWN_FOLDERS = ("base_path", "user_directory", "input_directory", "output_directory", "temp_directory")
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_][\w. -]*")


class Places:
    """ComfyUI's model folders.

    Args:
        folder_paths: ComfyUI's module of that name.
    """

    def __init__(self, folder_paths: Any) -> None:
        self._folder_paths = folder_paths

    def folder(self, directory: str) -> str:
        """ComfyUI's current name of a folder, which may be given by an older name (`unet`, `clip`)."""
        mapped: str = getattr(self._folder_paths, "map_legacy", lambda name: name)(directory)
        return mapped

    def is_known(self, directory: str) -> bool:
        """Whether ComfyUI has a folder of that name for models."""
        folder = self.folder(directory)
        return folder not in CLOSED_FOLDERS and folder in self._folder_paths.folder_names_and_paths

    def folders(self) -> list[str]:
        """The names of all model folders."""
        return [name for name in self._folder_paths.folder_names_and_paths if name not in CLOSED_FOLDERS]

    def roots(self, directory: str) -> list[str]:
        """The configured paths of a folder, in ComfyUI's order; empty for an unknown folder."""
        entry = self._folder_paths.folder_names_and_paths.get(self.folder(directory))
        return list(entry[0]) if entry and self.is_known(directory) else []

    def extensions(self, directory: str) -> frozenset[str]:
        """The file extensions ComfyUI lists in a folder; empty if it lists all."""
        entry = self._folder_paths.folder_names_and_paths.get(self.folder(directory))
        return frozenset(entry[1]) if entry else frozenset()

    def listed(self, directory: str) -> list[str]:
        """The names of the files that ComfyUI lists in a folder now; empty for an unknown folder."""
        if not self.is_known(directory):
            return []
        try:
            return [*self._folder_paths.get_filename_list(self.folder(directory))]
        except OSError:
            # The folder was removed after ComfyUI cached its list; ComfyUI's own list fails in the same way.
            return []

    def find(self, directory: str, name: str) -> str | None:
        """The path of an existing model file in any configured path of a folder, or None."""
        relative = local_name(name)
        if relative is None:
            return None
        for root in self.roots(directory):
            path = os.path.join(root, relative)
            if os.path.isfile(path):
                return path
        return None

    def find_anywhere(self, name: str) -> tuple[str, str] | None:
        """The folder and path of a model file of that name in any folder, or None."""
        for folder in self.folders():
            path = self.find(folder, name)
            if path is not None:
                return folder, path
        return None

    def root_for(self, directory: str) -> str:
        """The path that new files of a folder are written to. UiapiError `bad_path` or `unknown_folder`."""
        if not _FOLDER_NAME.fullmatch(directory) or self.folder(directory) in CLOSED_FOLDERS:
            raise UiapiError("bad_path", f"{directory!r} is not a folder for models; name one such as 'checkpoints'.")
        roots = self.roots(directory)
        if not roots:
            raise UiapiError(
                "unknown_folder",
                f"This ComfyUI has no model folder {directory!r}; update ComfyUI or name one it has.",
                {"directory": directory, "folders": sorted(self.folders())},
            )
        # ComfyUI lists its older folder (models/unet) before the current one (models/diffusion_models), unless the
        # operator configured another path to come first, which is then used.
        own = str(getattr(self._folder_paths, "models_dir", ""))
        if own and os.path.dirname(roots[0]) == own:
            preferred = os.path.join(own, self.folder(directory))
            return preferred if preferred in roots else roots[0]
        return roots[0]

    def target(self, directory: str, name: str, *, allow_pickle: bool, replace: bool = False) -> Path:
        """The path that a file of that name is to be written to; nothing is created.

        A folder inside the model folder may be a link to another disk, since only the operator can have created it.

        Args:
            replace: whether an existing file of that name, in any of the folder's paths, is to be replaced.

        Raises:
            UiapiError: `bad_path` for a name that leads elsewhere or is too long, `unknown_folder`,
                `unsupported_type` or `pickle_refused` for a file type that is not downloaded, `storage_failed`
                for a folder that cannot be read.
        """
        root = self.root_for(directory)
        check_names([name])
        relative = local_name(name) or ""
        check_extension(relative, allow_pickle=allow_pickle)
        there = self.find(directory, name) if replace else None
        path = Path(there) if there is not None else Path(root, relative)
        root = str(path)[: -len(relative) - 1]
        self._check_lengths(path, root)
        if self._is_closed(path.parent):
            raise UiapiError(
                "bad_path", f"{name[:120]!r} leads out of ComfyUI's {directory} folder; choose a name inside it."
            )
        for folder in [*path.parents][: relative.count(os.sep)]:
            if os.path.lexists(folder) and not os.path.isdir(folder):
                raise UiapiError(
                    "bad_path",
                    f"{folder.name[:120]!r} in {directory} is not a folder, or a link to a disk that is not mounted; "
                    "mount the disk, or choose another subfolder.",
                )
        try:
            dangling = path.is_symlink() and not path.exists()
        except OSError as error:
            raise UiapiError(
                "storage_failed",
                f"{name[:120]!r} cannot be looked up in {directory} ({error.strerror}); check that folder.",
            ) from error
        if dangling:
            raise UiapiError("bad_path", f"{name[:120]!r} is a broken link; remove it first.")
        return path

    def check_folder(self, folder: Path) -> None:
        """Raise UiapiError `bad_path` for a folder that is not for models; its links must be resolved."""
        if self._is_closed(folder):
            raise UiapiError(
                "bad_path", f"{folder} is not a folder for models; choose a name that does not lead there."
            )

    def _is_closed(self, folder: Path) -> bool:
        """Whether a folder, its links resolved, holds code or belongs to ComfyUI itself."""
        paths = self._folder_paths
        entries = [paths.folder_names_and_paths.get(name, ([], set())) for name in CLOSED_FOLDERS]
        if any(within(folder, closed) for entry in entries for closed in entry[0]):
            return True
        roots = [root for name in self.folders() for root in self.roots(name)]
        models = getattr(paths, "models_dir", None)
        if any(within(folder, root) for root in ([*roots, models] if models else roots)):
            return False
        own: list[str] = [getattr(paths, name) for name in _OWN_FOLDERS if getattr(paths, name, None)]
        code = getattr(paths, "__file__", None)
        return any(within(folder, place) for place in [*own, *([os.path.dirname(code)] if code else [])])

    def _check_lengths(self, path: Path, root: str) -> None:
        """Raise UiapiError `bad_path` unless the disk allows names as long as the file's and its temporary files'."""
        part, whole = _limits(root)
        lengths = [(len(os.fsencode(path.name)) + TEMPORARY_EXTRA, part, "file name")]
        lengths += [(len(os.fsencode(folder)), part, "folder name") for folder in path.relative_to(root).parts[:-1]]
        if len(os.fsencode(root)) < whole:
            lengths.append((len(os.fsencode(path)) + TEMPORARY_EXTRA, whole, "path"))
        for length, most, what in lengths:
            if length > most:
                raise UiapiError(
                    "bad_path",
                    f"The {what} of {path.name[:60] + '…'!r} is {length - most} bytes too long for the disk; "
                    "choose a shorter name.",
                    {"too_long_by": length - most},
                )

    def changed(self, directory: str) -> None:
        """Make ComfyUI reload a folder's list; its own check of modification times can miss quick changes."""
        cache = getattr(self._folder_paths, "filename_list_cache", None)
        if isinstance(cache, dict):
            cache.pop(self.folder(directory), None)


def local_name(name: str) -> str | None:
    """A model's name with this platform's separators, or None if it is invalid.

    Workflows written on Windows have backslashes; both separators are accepted everywhere. Absolute names, drives,
    `..`, hidden parts and names that are invalid on some platform are refused.
    """
    parts = name.replace("\\", "/").split("/")
    if _too_long(name):
        return None
    for part in parts:
        if not part or part.startswith(".") or part[-1] in ". " or part[0] == " ":
            return None
        if _FORBIDDEN.search(part) or _RESERVED.fullmatch(part):
            return None
        if any("\ud800" <= letter <= "\udfff" for letter in part):
            return None
    return os.sep.join(parts)


def check_names(names: Iterable[str]) -> None:
    """Raise UiapiError `bad_path` for an invalid model name."""
    for name in names:
        if local_name(name) is None:
            raise _bad_name(name)


def same_name(name: str) -> str:
    """`name` with forward slashes, so that names of the same file are equal."""
    return name.replace("\\", "/")


def extension_of(name: str) -> str:
    """The file extension in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


def check_extension(name: str, *, allow_pickle: bool) -> None:
    """Raise UiapiError `unsupported_type` or `pickle_refused` for a file type that is not downloaded."""
    extension = extension_of(name)
    if extension in PICKLE_EXTENSIONS and not allow_pickle:
        raise UiapiError(
            "pickle_refused",
            f"{extension} files can run code when they are loaded; use a .safetensors, "
            "or start ComfyUI with UIAPI_ALLOW_PICKLE=1 if you trust the source.",
        )
    if extension not in MODEL_EXTENSIONS:
        raise UiapiError(
            "unsupported_type",
            f"{extension or 'A file without extension'} is not a model format; "
            f"supported are {', '.join(sorted(PLAIN_EXTENSIONS))}.",
        )


def _too_long(name: str) -> str | None:
    """The end of a sentence about a name that is too long on every platform; None if it is not."""
    parts = name.replace("\\", "/").split("/")
    longest = max(len(part.encode(errors="replace")) for part in parts)
    if longest > MAX_PART:
        return (
            f"has a part of {longest} bytes; file and folder names may have at most {MAX_PART}; choose a shorter name."
        )
    whole = len(name.encode(errors="replace"))
    if whole > MAX_NAME:
        return (
            f"has {whole} bytes; a model's name with its subfolders may have at most {MAX_NAME}; choose a shorter one."
        )
    return None


def _limits(root: str) -> tuple[int, int]:
    """The most bytes of a part of a path, and of a whole path, on the disk of a folder."""
    try:
        return min(MAX_PART, os.pathconf(root, "PC_NAME_MAX")), min(MAX_PATH, os.pathconf(root, "PC_PATH_MAX"))
    except (AttributeError, ValueError, OSError):
        # Not available on Windows, nor for a folder that does not exist yet.
        return MAX_PART, MAX_PATH


def _bad_name(name: str) -> UiapiError:
    why = _too_long(name) or "is not a valid model name; use a plain file name, optionally with a subfolder."
    shown = f"{name[:60]}…" if len(name) > 120 else name
    return UiapiError("bad_path", f"{shown!r} {why}")

"""The masks over a run, as small artifacts of its Sacred record.

``masks_<step>.npz``: for each sparse layer ``bits/<name>``, its mask in C order, eight to a byte,
and ``shape/<name>``; and ``format``. At most :data:`SNAPSHOTS` while training, and the last masks.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from epymarl_mast.errors import ReportError, warn
from epymarl_mast.whole_files import read_file

Array = npt.NDArray[Any]

SNAPSHOTS = 50
FORMAT = 1
SNAPSHOT_FILES = "masks_*.npz"
_MOST_BYTES = 1 << 26  # of all snapshots of a run: masks of five hundred million weights
_BESIDE_BITS = 1 << 16  # names and shapes of one snapshot
_LAYER = re.compile(r"[\w.-]+")  # files are named after it


class MaskRecorder:
    """Writes the masks of a topology while it evolves.

    Args:
        logger: the host's logger, which may have a Sacred run.
        topology: what has ``masks`` and counts its ``updates``.
        t_max: environment steps of the whole run.
    """

    def __init__(self, logger: Any, topology: Any, t_max: int) -> None:
        self._run = getattr(logger, "_run_obj", None)
        self._topology = topology
        self._interval = t_max / SNAPSHOTS
        self._next = 0.0
        self._written = -1
        self._t_env = 0

    def after_update(self, t_env: int) -> None:
        """Called after every gradient update; writes when it is time and something has changed."""
        self._t_env = t_env
        if t_env >= self._next and self._written != self._topology.updates:
            self._write()
            self._next = t_env + self._interval

    def finish(self) -> None:
        """Called at the end of training: the last masks."""
        if 0 <= self._written != self._topology.updates:
            self._write()

    def state_dict(self) -> dict[str, Any]:
        """What it has written, and when it writes next."""
        return {"next": self._next, "written": self._written, "t_env": self._t_env}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self._next, self._written, self._t_env = state["next"], state["written"], state["t_env"]

    def _write(self) -> None:
        self._written = self._topology.updates
        masks = {name: mask.cpu().numpy() for name, mask in self._topology.masks.items()}
        if self._run is None or not masks:
            return
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"masks_{self._t_env:012d}.npz"
                np.savez_compressed(path, allow_pickle=False, **packed(masks))
                self._run.add_artifact(str(path), path.name)
        except OSError as error:
            warn(f"no snapshot of the masks at t_env={self._t_env} ({error.strerror}): "
                 f"make room in {tempfile.gettempdir()}")  # fmt: skip


def packed(masks: Mapping[str, Array]) -> dict[str, Array]:
    """``{key in the file: array}`` of bool masks."""
    bits = {f"bits/{name}": np.packbits(mask) for name, mask in masks.items()}
    shapes = {f"shape/{name}": np.array(mask.shape) for name, mask in masks.items()}
    return {"format": np.array(FORMAT), **bits, **shapes}


@dataclass(frozen=True)
class MaskHistory:
    """Masks over a run.

    Attributes:
        steps: (S,) environment steps of the snapshots, ascending.
        masks: ``{layer: (S, out, in) bool}``.
    """

    steps: Array
    masks: dict[str, Array]

    @classmethod
    def of_run(cls, folder: Path) -> MaskHistory:
        """Read what a run recorded.

        Args:
            folder: the run's Sacred directory.

        Raises:
            ReportError: if there is nothing, or it cannot be read.
        """
        files = sorted(p for p in folder.glob(SNAPSHOT_FILES) if _step(p).isdecimal())
        if not files:
            raise ReportError(
                f"{folder} holds no masks_*.npz: allowed is the Sacred directory of a run with a "
                "sparse topology"
            )
        snapshots, room = [], _MOST_BYTES
        for file in files:
            snapshots.append(_read(file, room))
            room -= sum(-(-mask.size // 8) for mask in snapshots[-1].values())
        layers = {name: mask.shape for name, mask in snapshots[0].items()}
        for snapshot in snapshots:
            if {name: mask.shape for name, mask in snapshot.items()} != layers:
                raise ReportError(f"{folder}: its masks_*.npz are of different networks")
        steps = np.array([int(_step(file)) for file in files])
        return cls(steps, {name: np.stack([s[name] for s in snapshots]) for name in layers})


def _step(file: Path) -> str:
    """The environment step in a snapshot's name."""
    return file.stem.partition("_")[2]


def _read(file: Path, room: int) -> dict[str, Array]:
    """The masks of a snapshot, which may unpack to ``room`` bytes."""
    try:
        content = io.BytesIO(read_file(file, _MOST_BYTES))
        _check_archive(content, room)
        with np.load(content, allow_pickle=False) as archive:
            names = [key.removeprefix("bits/") for key in archive.files if key.startswith("bits/")]
            if odd := [name for name in names if not _LAYER.fullmatch(name)]:
                raise ValueError(f"{odd[0]!r} is no name of a layer")
            return {name: _unpacked(archive, name) for name in names}
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise ReportError(f"{file} cannot be read: {error}") from None


def _check_archive(content: io.BytesIO, room: int) -> None:
    """Refuse a small file that would unpack to a huge one, or is of another format."""
    with zipfile.ZipFile(content) as archive:
        if sum(member.file_size for member in archive.infolist()) > room + _BESIDE_BITS:
            raise ValueError(f"with those before it, it unpacks to more than {_MOST_BYTES} bytes")
        if "format.npy" not in archive.namelist():
            return  # from before there was one
        with archive.open("format.npy") as member:
            found = np.lib.format.read_array(member, allow_pickle=False)
    if int(found) != FORMAT:
        raise ValueError(f"format {int(found)}, where this version reads format {FORMAT}")


def _unpacked(archive: Any, name: str) -> Array:
    rows, columns = (int(size) for size in archive[f"shape/{name}"])
    packed_bits = archive[f"bits/{name}"]
    if rows < 1 or columns < 1 or -(-rows * columns // 8) != len(packed_bits):
        raise ValueError(f"{name} is {rows} x {columns}, which are not {len(packed_bits)} bytes")
    bits = np.unpackbits(packed_bits, count=rows * columns)
    mask: Array = bits.reshape(rows, columns).astype(bool)
    return mask

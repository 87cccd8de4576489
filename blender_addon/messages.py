"""Every error in one sentence with the buttons that repair it. The server's codes are listed beside ours."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Union

from .errors import ClientError
from .packages import INSTALL_COMMAND, MissingPackages

Buttons = tuple[tuple[str, str], ...]

MAX_TEXT = 240
"""Longest sentence (characters) taken over from a server; the panel has two lines."""


@dataclass(frozen=True)
class Row:
    """One error.

    Args:
        text: sentence that is always true.
        template: better sentence, used when all its {values} are known.
        buttons: (label, id of the action); may be empty.
        server_codes: other codes that share this row.
        server_says: the server's own sentence (it knows the numbers) is taken instead of ours.
    """

    text: str
    buttons: Buttons = ()
    template: str = ""
    server_codes: tuple[str, ...] = ()
    server_says: bool = False


@dataclass(frozen=True)
class Message:
    """A row filled in for one error."""

    code: str
    text: str
    details: str
    buttons: Buttons

    @property
    def button(self) -> str:
        """Label of the first button or empty."""
        return self.buttons[0][0] if self.buttons else ""

    @property
    def fix(self) -> str:
        """Action of the first button or empty."""
        return self.buttons[0][1] if self.buttons else ""


_AGAIN: Buttons = (("Try Again", "resubmit"),)
_COPY: Buttons = (("Copy Details", "copy_details"),)
_LOG: Buttons = (("Open Log", "open_log"),)
_REMOVE: Buttons = (("Remove", "remove_image"),)
_MODEL: Buttons = (("Use fit", "use_fit"), ("Choose File", "choose_model_file"))
_CAMERAS: Buttons = (("Choose Camera Set", "choose_camera_set"),)

ROWS: dict[str, Row] = {
    # Set-up and server
    "missing_packages": Row(
        "Blender's Python lacks numpy or requests. Debian: install python3-numpy, python3-requests.",
        (("Copy Command", "copy_install_command"),),
    ),
    "server_not_installed": Row(
        "The GTR server software was not found.",
        (("Choose Python", "choose_python"),),
        "No GTR server in {python}.",
    ),
    "server_off": Row("Server is off.", (("Start", "start_server"),), server_codes=("stopping",)),
    "server_stopped": Row("The server stopped while it worked. Your inputs are kept.", _AGAIN),
    "server_start_failed": Row(
        "Server stopped while starting.", _LOG, "Server stopped while starting: {last_line}."
    ),
    "not_gtr": Row(
        "Another program answers in place of the GTR server.",
        (("Use Another Port", "use_another_port"),),
        "Port {port} answers, but it is not GTR{looks_like}.",
    ),
    "auth": Row("The server refused the key.", (("Read Key Again", "read_key_again"),)),
    "incompatible": Row(
        "Server and add-on have different versions.",
        (("Restart", "restart_server"),),
        "Server (API {server}) does not fit add-on {addon} (API {wanted}).",
    ),
    "missing_weights": Row(
        "Model file not found.",
        _MODEL,
        server_codes=("model_unavailable", "unknown_model"),
        server_says=True,
    ),
    "checkpoint_invalid": Row(
        "Model file is damaged (SHA-256 differs).", _MODEL, server_says=True
    ),
    "checkpoint_format": Row(
        "This is a .pth file. Convert it once with gtr convert.", (("Copy Command", "copy_convert_command"),)
    ),
    "backend_unavailable": Row(
        "The chosen device is not there: using CPU?", (("Use CPU", "use_cpu"),), server_says=True
    ),
    "out_of_memory": Row("Out of memory.", (("Retry at Normal", "retry_lower"),), server_says=True),
    "worker_lost": Row(
        "The model process died (memory?). It was restarted.", _AGAIN, server_codes=("worker_crashed", "worker_killed")
    ),
    "worker_degraded": Row("The model process keeps crashing.", (*_LOG, ("Restart", "restart_server"))),
    "timeout": Row("A step made no progress and was stopped.", _AGAIN),
    "no_response": Row(
        "No sign of life from the server.",
        (("Wait", "resubmit"), ("Restart", "restart_server")),
        "No sign of life for {seconds} s.",
    ),
    "bad_reply": Row("The server's answer cannot be used.", _COPY, "The server's answer cannot be used: {reason}."),
    "queue_full": Row(
        "Server is busy.", _AGAIN, "Server is busy ({waiting} waiting).", server_codes=("busy",)
    ),
    "disk_full": Row("Disk is full.", (("Open Folder", "open_data_folder"),), server_says=True),
    # Input
    "no_selection": Row("Select an object to capture.", (("Select All Meshes", "select_all_meshes"),)),
    "nothing_renderable": Row("Selection has nothing to render (empties, lights)."),
    "tiny_object": Row("Object has no size on two axes."),
    "too_few_views": Row(
        "More views are needed.",
        (("Add Images", "add_images"),),
        "{needed} views needed, {loaded} loaded.",
        server_says=True,
    ),
    "bad_image": Row(
        "An image cannot be read.",
        _REMOVE,
        "{name} cannot be read.",
        server_codes=("image_corrupt", "image_format"),
        server_says=True,
    ),
    "image_too_large": Row(
        "An image is too large.", (("Downscale", "downscale_images"),), "{name} is too large.", server_says=True
    ),
    "image_too_small": Row("An image is too small.", _REMOVE, "{name} is too small.", server_says=True),
    "no_alpha": Row(
        "An image has no transparent background.",
        (("Remove Background", "remove_background"),),
        "{name} has no transparent background.",
        server_says=True,
    ),
    "empty_mask": Row(
        "Nothing left of an image after background removal.",
        (("Show Mask", "show_mask"),),
        "Nothing left in {name} after background removal.",
        server_says=True,
    ),
    "camera_missing": Row("An image has no camera.", _CAMERAS, "No camera for {name}.", server_says=True),
    "camera_invalid": Row(
        "A camera cannot be used (singular).", _CAMERAS, "The camera of {name} cannot be used (singular).",
        server_says=True,
    ),
    "bad_input": Row("The input cannot be used.", _COPY, server_codes=("invalid_request",), server_says=True),
    # Results
    "empty_surface": Row(
        "No surface found: views or cameras may not match.",
        (("Show Cameras", "show_cameras"),),
        server_codes=("empty_reconstruction",),
        server_says=True,
    ),
    "unknown_job": Row(
        "Server forgot this object.",
        (("Reconstruct Again", "reconstruct_again"),),
        server_codes=("purged",),
    ),
    "object_gone": Row("The object was deleted.", (("Import as New", "import_as_new"),)),
    "edit_mode": Row("Leave Edit Mode to apply colours.", (("Apply Now", "apply_now"),)),
    "no_color": Row("Object has no colours to export.", (("Recolour", "recolour"),)),
    "export_failed": Row("Export failed.", _COPY, "{message}."),
    "folder_denied": Row(
        "Cannot write to the folder.", (("Choose Folder", "choose_folder"),), "Cannot write to {folder}."
    ),
    "online_access_off": Row("Allow Online Access is off.", (("Open Preferences", "open_preferences"),)),
    # Codes of requests that this add-on should never make belong here: it would be our bug.
    "internal": Row(
        "Something unexpected failed.",
        _COPY,
        server_codes=(
            "bad_request", "not_found", "method_not_allowed", "length_required", "body_too_large", "media_type",
            "range_not_satisfiable", "idempotency_key_missing", "idempotency_key_reused", "forbidden_origin",
            "wrong_host", "unknown_blob", "unknown_artifact",
        ),
    ),
}  # fmt: skip

CLIENT_HANDLED = frozenset({"missing_blobs", "digest_mismatch", "too_many_streams", "not_succeeded", "cannot_finish"})
"""Server codes that the client deals with by itself; if that fails too, they count as ``internal``."""

_ROW_OF = {code: name for name, row in ROWS.items() for code in (name, *row.server_codes)}


def row_of(code: str) -> str:
    """Name of the row for one of our codes or a server code; ``internal`` for anything unknown."""
    return _ROW_OF.get(code, "internal")


def has_row(code: str) -> bool:
    """Whether a code has a row of its own (or shares one) instead of falling to ``internal``."""
    return code in _ROW_OF


def failure(error: Union[ClientError, MissingPackages]) -> Message:
    """What the panel says and offers about an error."""
    if isinstance(error, MissingPackages):
        row = ROWS["missing_packages"]
        return Message("missing_packages", row.text, f"{error}\n{INSTALL_COMMAND}", row.buttons)
    name = row_of(error.code)
    row = ROWS[name]
    details = "\n".join(part for part in (f"code: {error.code}", error.text, error.details) if part)
    return Message(name, _sentence(row, error), details, row.buttons)


def _sentence(row: Row, error: ClientError) -> str:
    if row.server_says and error.text:
        return plain(error.text)
    fields = {name for _, name, _, _ in string.Formatter().parse(row.template) if name}
    if row.template and fields <= error.values.keys():
        return plain(row.template.format(**{name: error.values[name] for name in fields}))
    return row.text


def plain(text: str) -> str:
    """One line of printable text of bounded length: what others send never reaches the panel raw."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + "…"

"""What each column is: as declared, or as the training rows show, with the reason."""

from dlcli.encoding.types.choosing import choose_features
from dlcli.encoding.types.deciding import decide_types, infer_type
from dlcli.encoding.types.decision import Decision, type_warnings

__all__ = ["Decision", "choose_features", "decide_types", "infer_type", "type_warnings"]

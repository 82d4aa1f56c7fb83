import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "k8s" / "warm_cache.py"


def test_a_payment_and_its_label_go_all_the_way_through_compiled_code(tmp_path: Path) -> None:
    key_file = tmp_path / "id-hash-key"
    key_file.write_text("00" * 16)
    specification = importlib.util.spec_from_file_location("warm_cache", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)

    module.warm(key_file)

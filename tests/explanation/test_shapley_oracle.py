"""Shapley values, compared with the exact explainer of shap.

The reference values are of shap 0.51.0 with NumPy 2.4.6: `shap.explainers.Exact` of the network's
formula in float64, with `shap.maskers.Independent` of all background rows. A feature of shap is the
number of the row from which the inputs of a column are taken, so a one-hot encoded category is one
feature.
"""

from dataclasses import replace

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of
from test_shapley import HIDDEN, ROWS, matrix_of, network, with_weights

from dlcli.explanation import shapley
from dlcli.explanation.shapley import ShapleyExplainer

NUMBER = [
    [-0.0858651, 0.0569867, 0.3587146, 0.4708353],
    [0.4557536, 0.0561301, 0.5057943, -0.2285437],
    [0.3482495, 0.1313522, 0.1044682, 0.3375505],
]
TWO_CLASSES = [
    [-0.017244, 0.0103347, 0.0698232, 0.0956611],
    [0.0966537, 0.0094574, 0.1058499, -0.0559302],
    [0.0647687, 0.0213197, 0.0349014, 0.0636274],
]
FOURTEEN_COLUMNS = [
    [-0.117766, -0.3954247, -0.6001773, -0.6559933, -0.2926593, -0.1091882, 0.0943727]
    + [-0.6233131, -0.1265496, -0.2328335, -0.1333785, -1.1750707, -0.025029, -0.3562961],
    [0.048363, -0.1253098, 0.1216601, -0.2449401, 0.1397398, -0.0966735, -0.3626173]
    + [-0.213405, -0.0187152, 0.1013156, -0.1170813, 0.0364925, -0.0241481, -0.0580776],
    [0.0516419, 0.351287, 0.1066783, 0.1469614, 0.2714733, 0.0434663, 0.3482392]
    + [-0.2056695, 0.4675122, 0.045898, -0.1011446, 0.2947143, -0.125734, -0.0750743],
]


@pytest.mark.parametrize(
    ("target", "sections", "reference"),
    [
        (np.linspace(0, 9, ROWS).tolist(), UNSCALED, NUMBER),
        (["no", "yes"] * (ROWS // 2), {}, TWO_CLASSES),
    ],
    ids=["number", "two_classes"],
)
def test_exact_values_are_those_of_shap(target, sections, reference):
    made = network(target, **sections)
    matrix = matrix_of(made)
    found = ShapleyExplainer(made.predictor, matrix[:7]).explain(matrix[7:10])
    assert found.is_exact
    np.testing.assert_allclose(found.values[..., 0], reference, atol=1e-5)


@pytest.mark.parametrize(("most", "pairs", "share"), [(16, 256, 0.97), (1, 24, 0.9)])
def test_sampled_values_are_within_three_standard_errors_of_those_of_shap(
    monkeypatch, most, pairs, share
):
    monkeypatch.setattr(shapley, "MOST_PAIRS", most)
    rng = np.random.default_rng(5)
    columns = {f"x{at}": rng.normal(size=ROWS).tolist() for at in range(14)}
    made = case(rows_of(y=np.linspace(0, 9, ROWS).tolist(), **columns), hidden=HIDDEN, **UNSCALED)
    made = replace(made, predictor=with_weights(made.predictor, 1))
    matrix = matrix_of(made)
    found = ShapleyExplainer(made.predictor, matrix[:16]).explain(matrix[16:19])
    assert found.pairs == pairs  # with 24, half of the background rows have two
    deviations = np.abs(found.values - np.array(FOURTEEN_COLUMNS)[..., np.newaxis])
    assert np.mean(deviations <= 3 * found.standard_errors) >= share
    assert found.standard_errors.max() < 0.6 / most**0.5

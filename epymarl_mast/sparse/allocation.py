"""How sparse each layer is: from one total sparsity to a sparsity per layer.

Shapes: a layer is a weight matrix (out, in).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Shapes = Mapping[str, tuple[int, int]]


def erdos_renyi(shapes: Shapes, sparsity: float) -> dict[str, float]:
    """Sparsity per layer by Erdős-Rényi: small layers stay denser than large ones.

    The density of a layer is ``eps * (in + out) / (in * out)``. ``eps`` is chosen so that the
    densities add up to the total; layers that would exceed density 1 are held dense and ``eps``
    is solved again for the others.

    Args:
        shapes: ``{layer name: (out, in)}``.
        sparsity: share of all weights that are absent, 0 <= sparsity < 1.

    Returns:
        ``{layer name: sparsity}``, exactly 0.0 for a layer held dense.

    Raises:
        ValueError: if ``sparsity`` is out of range, or ``shapes`` is empty or not positive.

    Source: MAST §2; SET (Mocanu et al. 2018).
    """
    _check(shapes, sparsity)
    budget = (1.0 - sparsity) * sum(out * in_ for out, in_ in shapes.values())
    raw_density = {name: (out + in_) / (out * in_) for name, (out, in_) in shapes.items()}
    dense: set[str] = set() if sparsity > 0.0 else set(shapes)
    while len(dense) < len(shapes):
        sparse = [name for name in shapes if name not in dense]
        left = budget - sum(shapes[name][0] * shapes[name][1] for name in dense)
        eps = left / sum(sum(shapes[name]) for name in sparse)
        saturated = {name for name in sparse if eps * raw_density[name] > 1.0}
        if not saturated:
            return {n: 0.0 if n in dense else 1.0 - eps * raw_density[n] for n in shapes}
        dense |= saturated
    return dict.fromkeys(shapes, 0.0)


def uniform(shapes: Shapes, sparsity: float) -> dict[str, float]:
    """The same sparsity for every layer; arguments and errors as :func:`erdos_renyi`."""
    _check(shapes, sparsity)
    return dict.fromkeys(shapes, float(sparsity))


ALLOCATIONS: dict[str, Callable[[Shapes, float], dict[str, float]]] = {
    "erdos_renyi": erdos_renyi,
    "uniform": uniform,
}


def _check(shapes: Shapes, sparsity: float) -> None:
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"sparsity={sparsity} is out of range: 0 <= sparsity < 1")
    if not shapes:
        raise ValueError("shapes is empty: at least one layer is needed")
    for name, shape in shapes.items():
        if len(shape) != 2 or min(shape) < 1:
            raise ValueError(f"shapes[{name!r}]={shape} is not (out, in) with both at least 1")

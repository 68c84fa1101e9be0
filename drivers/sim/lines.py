"""Line resistance of a passive crossbar, exactly: for one conductance state, volts to amperes is a matrix.

Build it once per state with `transfer`; every multiplication after that is one matrix product.
`node_voltages` gives the volts that reach each device under one drive pattern, as in programming.

The network, two columns drawn; ┼ is a crosspoint [i, j]: a device g[i, j] from the row to the column wire.

    v[0] ──r_source──r_row──┼──r_row──┼
                            │         │        a row has one r_row before its first crosspoint, where its
                          r_col     r_col      driver is; a column has one r_col after its last crosspoint,
                            │         │        where it is sensed
    v[1] ──r_source──r_row──┼──r_row──┼
                            │         │        so [rows-1, 0] lies behind the least wire
                          r_col     r_col      and [0, cols-1] behind the most
                            │         │
                         r_sense   r_sense
                            │         │
                       i[0] at 0 V  i[1] at 0 V

With r_source = r_sense = 0 this is the network of badcrossbar (doi:10.1016/j.softx.2020.100617). Devices are
ohmic; there are no selectors, no lines driven from both ends and no floating lines.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import blas, lapack
from scipy.sparse import linalg as sparse_linalg

from hil.errors import ConfigError, ScheduleError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# SciPy ships no types for these.
_blas: Any = blas
_lapack: Any = lapack
_sparse: Any = sparse
_sparse_linalg: Any = sparse_linalg


def transfer(
    g: npt.ArrayLike,
    r_row_ohm: float,
    r_col_ohm: float,
    *,
    r_source_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
) -> Floats:
    """Amperes sensed at each column per volt on each row: T [cols, rows] in siemens, so that i = T @ v.

    T[j, i] is also what reading one crosspoint gives, row i at 1 V, the other rows at 0 V and all columns
    at virtual ground: the readings of a whole array, amperes per volt [rows, cols], are T.T. Sneak paths are
    in it: an open device does not read zero.

    Parameters
    ----------
    g
        Conductances [rows, cols] in siemens, zero (open) or more.
    r_row_ohm, r_col_ohm
        One wire segment along a row, along a column; zero or more. With all four zero, T is g.T.
    r_source_ohm, r_sense_ohm
        Between the driver and the first row segment, between the last column segment and virtual ground.

    Raises
    ------
    ConfigError
        A conductance or resistance is negative or not finite, or g is not a matrix; or resistances so large
        (1e15 times the devices') that double precision fails.

    Notes
    -----
    Exact but for rounding: no term is neglected and nothing is divided by a resistance. With n the shorter
    and m the longer side it takes m·n²·(3n + m) flops and some 100·n·m bytes: 512 x 512 is 0.27 Tflop and
    27 MB.

    Each row, its own wire solved as a ladder, is a Norton source for the columns: currents b·v beside an
    admittance matrix S. Rows are joined from the top down: a column segment r turns (Y, J) into
    (1 + r·Y)⁻¹ (Y, J), the next row adds (S, b) to that.
    """
    g = _conductances(g)
    r_row, r_col, r_source, r_sense = _resistances(
        r_row_ohm=r_row_ohm, r_col_ohm=r_col_ohm, r_source_ohm=r_source_ohm, r_sense_ohm=r_sense_ohm
    )
    if g.shape[0] >= g.shape[1]:
        return np.ascontiguousarray(_join_rows(g, r_row, r_col, r_source, r_sense))
    # Blocks should have the shorter side. Driving the columns where they are sensed is the drawing itself,
    # seen from the opposite corner with rows and columns exchanged; by reciprocity its map is the transposed.
    exchanged = _join_rows(g[::-1, ::-1].T, r_col, r_row, r_sense, r_source)
    return np.ascontiguousarray(exchanged[::-1, ::-1].T)


def transfer_transposed(
    g: npt.ArrayLike,
    r_row_ohm: float,
    r_col_ohm: float,
    *,
    r_source_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
) -> Floats:
    """Amperes sensed at each row per volt on each column: [rows, cols] in siemens, for the transposed drive.

    The same ends are used: columns are driven where they were sensed, rows sensed where they were driven,
    and each end keeps its resistance (r_source at the rows, r_sense at the columns). The network is then the
    same, and reciprocal: this is ``transfer(...).T``, so with the forward operator at hand use its transpose.
    Where the resistances belong to the instruments and move with them, exchange the two arguments.
    """
    return transfer(g, r_row_ohm, r_col_ohm, r_source_ohm=r_source_ohm, r_sense_ohm=r_sense_ohm).T


def node_voltages(
    g: npt.ArrayLike,
    r_row_ohm: float,
    r_col_ohm: float,
    v_rows: npt.ArrayLike,
    v_cols: npt.ArrayLike,
    *,
    r_source_ohm: float = 0.0,
    r_sense_ohm: float = 0.0,
) -> Floats:
    """Volts across every device, row side minus column side [rows, cols], with every line driven at its end.

    For a half-select shot give V/2 and -V/2 on the selected lines, 0 on the others. Each call is one sparse
    factorisation of 2·rows·cols unknowns: 512 x 512 takes about half of what `transfer` does, and 1 GB.

    Parameters
    ----------
    g, r_row_ohm, r_col_ohm, r_source_ohm, r_sense_ohm
        As in `transfer`.
    v_rows, v_cols
        Volts [rows] at the row drivers and [cols] at the column ends.

    Raises
    ------
    ConfigError
        As in `transfer`.
    ScheduleError
        Volts are not finite or do not match the lines.
    """
    g = _conductances(g)
    r_row, r_col, r_source, r_sense = _resistances(
        r_row_ohm=r_row_ohm, r_col_ohm=r_col_ohm, r_source_ohm=r_source_ohm, r_sense_ohm=r_sense_ohm
    )
    rows, cols = g.shape
    ends = np.concatenate([_volts("v_rows", v_rows, rows), _volts("v_cols", v_cols, cols)])
    # Nodes 0 .. rows+cols-1 are the ends; a line of no resistance has no nodes but those it needs.
    row_ends, col_ends = np.split(np.arange(rows + cols, dtype=np.intp), [rows])
    row_nodes, row_ohm = _wire(row_ends, cols, r_row, r_source, first=rows + cols)
    col_nodes, col_ohm = _wire(
        col_ends, rows, r_col, r_sense, first=max(int(row_nodes.max()) + 1, rows + cols)
    )
    # A column is followed from its end upwards; device [i, j] sits at the (rows - i)-th node of it.
    at_row, at_col = row_nodes[:, 1:], col_nodes[:, :0:-1].T
    start = np.concatenate([row_nodes[:, :-1].ravel(), col_nodes[:, :-1].ravel(), at_row.ravel()])
    stop = np.concatenate([row_nodes[:, 1:].ravel(), col_nodes[:, 1:].ravel(), at_col.ravel()])
    ohm = np.concatenate([np.tile(row_ohm, rows), np.tile(col_ohm, cols)])
    siemens = np.concatenate([np.divide(1.0, ohm, out=np.zeros_like(ohm), where=ohm > 0), g.ravel()])
    volts = _solve_nodes(start, stop, siemens, ends)
    return volts[at_row] - volts[at_col]


def _join_rows(g: Floats, r_row: float, r_col: float, r_source: float, r_sense: float) -> Floats:
    """T of the drawn network, in blocks of its columns (see the notes of `transfer`)."""
    rows, cols = g.shape
    divider, own, coupling = _ladders(g, r_row, r_source)
    current = g * np.cumprod(divider, axis=1)
    after = np.triu(np.ones((cols, cols), dtype=np.bool_), 1)
    joined = np.zeros((cols, cols + rows), order="F")  # [Y | J]; J gains one column with every row
    admittance = joined[:, :cols]
    for i in range(rows):
        known = cols + i
        if r_col > 0:
            joined[:, :known] = _through(r_col, admittance, joined[:, :known])
        # What crosspoint k, after j, feels of j is the product of the dividers between them; the quotient of
        # two running products would underflow on a long resistive line.
        mutual = np.cumprod(np.where(after, divider[i], 1.0), axis=1)
        mutual *= np.where(after, coupling[i, :, None] * g[i], 0.0)
        admittance -= mutual
        admittance -= mutual.T
        admittance[np.diag_indices(cols)] += own[i]
        joined[:, known] = current[i]
    return _through(r_col + r_sense, admittance, joined[:, cols:])


def _through(ohm: float, admittance: Floats, right: Floats) -> Floats:
    """(1 + ohm·Y)⁻¹ right, for one resistance in each column; Y is symmetric, no eigenvalue negative."""
    factor, failed = _lapack.dpotrf(np.eye(len(admittance)) + ohm * admittance, overwrite_a=True)
    if failed:
        raise ConfigError(
            f"crossbar lines: {ohm:g} ohm in a column is beyond double precision with these conductances"
        )
    inverse, _ = _lapack.dpotri(factor, overwrite_c=True)
    return _blas.dsymm(1.0, inverse, right)


def _ladders(g: Floats, r_row: float, r_source: float) -> tuple[Floats, Floats, Floats]:
    """Every row's wire with all columns at 0 V: a ladder of series segments and shunt devices.

    Returns, each [rows, cols]: the volts at a crosspoint per volt at the one before it (at the first, per
    source volt); the admittance its column sees there, in siemens; the device's conductance times the
    impedance of its node. All come from sums and products of positive terms, so nothing cancels.
    """
    rows, cols = g.shape
    segment = np.full(cols, r_row)
    segment[0] += r_source
    divider = np.empty((rows, cols))
    beyond = np.zeros((rows, cols))  # siemens of all that follows a crosspoint, its own device apart
    for j in range(cols - 1, -1, -1):
        onward = g[:, j] + beyond[:, j]
        divider[:, j] = 1.0 / (1.0 + segment[j] * onward)
        if j > 0:
            beyond[:, j - 1] = onward * divider[:, j]
    before = np.empty((rows, cols))  # ohms back to the driver, past the devices on the way
    before[:, 0] = segment[0]
    for j in range(1, cols):
        before[:, j] = segment[j] + before[:, j - 1] / (1.0 + g[:, j - 1] * before[:, j - 1])
    wire = before / (1.0 + before * beyond)
    own = g / (1.0 + g * wire)
    return divider, own, own * wire


def _wire(
    ends: Indices, crosspoints: int, r_segment: float, r_end: float, first: int
) -> tuple[Indices, Floats]:
    """Node numbers [lines, 1 + crosspoints] of parallel lines, end first, and the ohms between [crosspoints].

    Nodes joined by zero ohms have one number; new numbers start at `first`.
    """
    ohm = np.full(crosspoints, r_segment)
    ohm[0] += r_end
    place = np.concatenate([[0], np.cumsum(ohm > 0)])  # 0: the end itself
    lines = np.arange(len(ends))[:, None]
    nodes = first + lines * place[-1] + place - 1
    return np.where(place == 0, ends[:, None], nodes), ohm


def _solve_nodes(start: Indices, stop: Indices, siemens: Floats, ends: Floats) -> Floats:
    """Volts at every node, where the first nodes are held at `ends` and conductances join start to stop."""
    count, held = int(max(start.max(), stop.max())) + 1, len(ends)
    if count == held:
        return ends
    one_way: Any = _sparse.coo_array((siemens, (start, stop)), shape=(count, count)).tocsr()
    between = one_way + one_way.T
    laplacian = (_sparse.diags_array(between.sum(axis=1)) - between).tocsc()
    free = _sparse_linalg.splu(
        laplacian[held:, held:], permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )
    return np.concatenate([ends, free.solve(-(laplacian[held:, :held] @ ends))])


def _conductances(g: npt.ArrayLike) -> Floats:
    g = np.asarray(g, dtype=np.float64)
    if g.ndim != 2 or g.size == 0:
        raise ConfigError(
            f"crossbar lines: conductances of shape {g.shape}; needed is a matrix [rows, cols], not empty"
        )
    wrong = ~(np.isfinite(g) & (g >= 0))
    if wrong.any():
        row, col = np.argwhere(wrong)[0]
        raise ConfigError(
            f"crossbar lines: conductance [{row}, {col}] is {g[row, col]:g} S; allowed: finite, zero or more"
        )
    return g


def _resistances(**ohms: float) -> tuple[float, ...]:
    for name, ohm in ohms.items():
        if not (np.isfinite(ohm) and ohm >= 0):
            raise ConfigError(f"crossbar lines: {name} is {ohm:g}; allowed: finite, zero or more")
    return tuple(float(ohm) for ohm in ohms.values())


def _volts(name: str, volts: npt.ArrayLike, lines: int) -> Floats:
    volts = np.asarray(volts, dtype=np.float64)
    if volts.shape != (lines,):
        raise ScheduleError(f"crossbar lines: {name} has shape {volts.shape}, the array needs ({lines},)")
    if not np.isfinite(volts).all():
        raise ScheduleError(f"crossbar lines: {name} holds a value that is not finite")
    return volts

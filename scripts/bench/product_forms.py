"""The matrix products of a training step, and the forms in which the wheel of torch can compute them."""

import ctypes
import dataclasses
import functools
import pathlib

import torch

import bench_environment

OURS = "src/ops"
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Inputs and outputs of the reference model's weights, and how many layers have them.
WEIGHTS = {"QKV": (256, 512, 6), "attention's output": (256, 256, 6), "gate and up": (256, 1408, 6), "down": (704, 256, 6),
           "head": (256, 8192, 1)}
CHUNK_LOGITS = 1 << 23  # of the loss (src/ops/vocabulary.cpp)
BLOCK_FLOATS, FEWEST_ROWS = 1 << 19, 64  # of widened copies (src/ops/linear.cpp)
FORWARD, INPUT, WEIGHT = "forward", "gradient of the input", "gradient of the weight"


@dataclasses.dataclass
class Product:
    """`left` [m, k] times `right` [k, n], with the strides that training has; for the gradient of a weight added to `sum`."""
    part: str
    kind: str
    rows: int
    inputs: int
    outputs: int
    calls: float  # in a step
    left: torch.Tensor
    right: torch.Tensor
    sum: torch.Tensor | None

    @property
    def flops(self):
        return 2 * self.rows * self.inputs * self.outputs

    def description(self):
        names = ("part", "kind", "rows", "inputs", "outputs", "calls")
        return {"type": str(self.left.dtype).removeprefix("torch.")} | {name: getattr(self, name) for name in names}


def products(type_name, rows):
    """All of a step with so many rows. Where bfloat16 is widened, the head's products are float32 ones (src/ops/vocabulary.cpp)."""
    generator = torch.Generator().manual_seed(1)

    def random(*sizes):
        return torch.randn(*sizes, generator=generator).to(TYPES[type_name])

    for part, (inputs, outputs, layers) in WEIGHTS.items():
        if part == "head" and type_name == "bfloat16" and not has_bfloat16():
            continue
        chunk = min(rows, CHUNK_LOGITS // outputs) if part == "head" else rows
        x, weight, d_out = random(chunk, inputs), random(outputs, inputs), random(chunk, outputs)
        factors = {FORWARD: (x, weight.t(), None), INPUT: (d_out, weight, None),
                   WEIGHT: (d_out.t(), x, torch.zeros(outputs, inputs))}
        for kind, (left, right, total) in factors.items():
            yield Product(part, kind, chunk, inputs, outputs, layers * rows / chunk, left, right, total)


def has_bfloat16():
    """Instructions for bfloat16 products, as src/ops/linear.cpp asks for them."""
    return "avx512_bf16" in bench_environment.instruction_sets()


def blocks(rows, floats):
    block = max(FEWEST_ROWS, BLOCK_FLOATS // floats)
    return ((begin, min(block, rows - begin)) for begin in range(0, rows, block))


def widened(product):
    """float32 products of widened copies, a block of rows at a time."""
    left, right, total = product.left, product.right, product.sum
    out = torch.empty(left.shape[0], right.shape[1], dtype=left.dtype)

    def multiply():
        wide = right.float()
        for begin, count in blocks(left.shape[0], left.shape[1] + right.shape[1]):
            out.narrow(0, begin, count).copy_(torch.mm(left.narrow(0, begin, count).float(), wide))
        return out

    def add():
        for begin, count in blocks(left.shape[1], left.shape[0] + right.shape[1]):
            total.addmm_(left.narrow(1, begin, count).float(), right.narrow(0, begin, count).float())
        return total

    return multiply if total is None else add


def torch_products(product):
    left, right, total = product.left, product.right, product.sum
    if total is None:
        out = torch.empty(left.shape[0], right.shape[1], dtype=left.dtype)
        return lambda: torch.mm(left, right, out=out)
    if left.dtype == torch.float32:
        return lambda: total.addmm_(left, right)
    return lambda: total.add_(torch.mm(left, right))


def onednn(product, packed):
    """oneDNN's inner product, whose weight is [n, k]; for the gradient of a weight both factors change each time."""
    left, total, weight = product.left, product.sum, product.right.t()
    multiply = torch.ops.mkldnn._linear_pointwise
    if packed:
        weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), left.shape[0])
    if total is None:
        return lambda: multiply(left, weight, None, "none", [], "")
    return lambda: total.add_(multiply(left, weight, None, "none", [], ""))


def mkl_packed(product):
    """float32 alone."""
    rows, weight = product.left.shape[0], product.right.t().contiguous()
    packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, rows)
    return lambda: torch.ops.mkl._mkl_linear(product.left, packed, weight, None, rows)


@functools.cache
def mkl_bfloat16_function():
    """MKL's product of bfloat16 matrices with float32 sums, where the wheel lets others call it; else None."""
    library = ctypes.CDLL(str(pathlib.Path(torch.__file__).parent / "lib/libtorch_cpu.so"))
    function = getattr(library, "cblas_gemm_bf16bf16f32", None)
    if function is not None:
        integer, pointer, real = ctypes.c_int, ctypes.c_void_p, ctypes.c_float
        function.argtypes = [integer] * 6 + [real, pointer, integer, pointer, integer, real, pointer, integer]
        function.restype = None
    return function


def mkl_add(total, left, right, beta):
    """total = beta total + left right."""
    by_rows, plain, transposed = 101, 111, 112

    def layout(matrix):
        return (plain, matrix.stride(0)) if matrix.stride(1) == 1 else (transposed, matrix.stride(1))

    (left_layout, left_stride), (right_layout, right_stride) = layout(left), layout(right)
    mkl_bfloat16_function()(by_rows, left_layout, right_layout, *total.shape, left.shape[1], 1.0, left.data_ptr(), left_stride,
                            right.data_ptr(), right_stride, beta, total.data_ptr(), total.stride(0))


def mkl_bfloat16(product):
    left, right, total = product.left, product.right, product.sum

    def add():
        mkl_add(total, left, right, 1.0)
        return total

    if total is not None:
        return add
    out = torch.empty(left.shape[0], right.shape[1], dtype=left.dtype)
    parts = list(blocks(left.shape[0], left.shape[1] + right.shape[1]))
    wide = torch.empty(parts[0][1], right.shape[1])

    def multiply():
        for begin, count in parts:
            part = wide.narrow(0, 0, count)
            mkl_add(part, left.narrow(0, begin, count), right, 0.0)
            out.narrow(0, begin, count).copy_(part)
        return out

    return multiply


def forms_of(product):
    """Functions that compute the product, by name; ours is the first."""
    if product.left.dtype == torch.float32:
        forms = {OURS: torch_products(product), "oneDNN": onednn(product, packed=False)}
        if product.sum is None:
            forms |= {"oneDNN, packed": onednn(product, packed=True), "MKL, packed": mkl_packed(product)}
        return forms
    if has_bfloat16():
        forms = {OURS: torch_products(product), "widened to float32": widened(product), "oneDNN": onednn(product, packed=False)}
        if product.sum is None:
            forms["oneDNN, packed"] = onednn(product, packed=True)
    else:  # oneDNN has none there, and LibTorch imitates them, a tenth as quick
        forms = {OURS: widened(product)}
    if mkl_bfloat16_function() is not None:
        forms["MKL, float32 sums"] = mkl_bfloat16(product)
    return forms


def check(product, name, form):
    """Within the rounding of the type and of a float32 sum of so many terms."""
    left, right = product.left.double(), product.right.double()
    if product.sum is not None:
        product.sum.zero_()
    result = form()
    exact = left @ right
    bound = 2.0**-21 * (left.abs() @ right.abs()).max().item()
    if product.left.dtype == torch.bfloat16:
        bound += 2.0**-8 * exact.abs().max().item()
    worst = (result.double() - exact).abs().max().item()
    assert worst <= bound, f"{name} of {product.part}, {product.kind}: an error of {worst:g}, more than {bound:g}"  # false for NaN

"""The evaluate metrics that the installed package brings load and compute, in a folder that is no checkout."""

import evaluate

import burst2vec

ccc = evaluate.load(str(burst2vec.shipped("metrics/ccc"))).compute(predictions=[0.0, 1.0], references=[0.0, 1.0])
s_mtl = evaluate.load(str(burst2vec.shipped("metrics/s_mtl")))
assert ccc == {"ccc": 1.0}, ccc
print(f"metrics load: {ccc}, {s_mtl.name}")

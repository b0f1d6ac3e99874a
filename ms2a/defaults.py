"""Names and numbers that options of the command line and the code behind them share. Imports nothing."""

# How several processes were started.
LAUNCHERS = ("none", "pytorch", "slurm")
# Sizes of detectors, by parameters; ``small`` alone has no COCO weights.
DETECTORS = ("nano", "small", "tiny", "s", "m", "l", "x")
# What a prototype is → what its files add to the name of the domain.
FILE_ENDINGS = {"map": ("",), "vector": ("_foreground", "_background"), "style": ("_style",), "colour": ("_colour",)}
# How channel maps are drawn: all alike, or by their norm.
UNIFORM, NORM = "uniform", "norm"
# Channel maps kept per level: enough for K = 100 prototypes of 256 rows each.
MAX_SAMPLES = 256 * 100
# Seconds between two saves of the state that an interrupted extraction goes on from.
SAVE_INTERVAL = 60.0
# Iterations of k-means at most.
CLUSTER_ITERATIONS = 25
# Lowest score of a detection that is drawn.
SCORE_THR = 0.3
# What runs a detector, and in which precision.
ENGINES = ("auto", "torch", "onnxruntime", "openvino", "opencv")
PRECISIONS = ("float32", "bfloat16")
# What an exported file may be made for.
RUNTIMES = ("onnxruntime", "openvino", "opencv", "ncnn", "tract")
EXPORTERS = ("torchscript", "dynamo")

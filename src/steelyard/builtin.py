"""What comes along and has a name of its own: where each thing lives, and what it is in one line."""

from __future__ import annotations

from typing import NamedTuple


class Builtin(NamedTuple):
    """A thing of ours: where it lives, and what it is in one line."""

    target: str
    summary: str


BUILTINS: dict[str, dict[str, Builtin]] = {
    "models": {
        "embedded": Builtin(
            "steelyard.models.embedded:Embedded",
            "a small model that comes along, or any small Llama folder: path=…",
        ),
        "gguf": Builtin("steelyard.models.gguf:Gguf", "a GGUF file through llama.cpp: path=…"),
        "hf": Builtin("steelyard.models.huggingface:load_huggingface", "short for huggingface"),
        "http": Builtin("steelyard.models.services:open_http", "a service behind HTTP: url=…, wire=NAME"),
        "huggingface": Builtin(
            "steelyard.models.huggingface:load_huggingface",
            "a model of transformers, for text or text and images, from a folder or the hub: path=…",
        ),
        "kserve": Builtin(
            "steelyard.models.services:open_kserve", "a model behind KServe's v2 infer: url=…, model=NAME"
        ),
        "mindie": Builtin("steelyard.models.services:open_mindie", "a service of MindIE: url=…"),
        "music-reward": Builtin(
            "steelyard.models.music.opening:load_music_reward",
            "alignment and musicality of music by a published network: checkpoint=…/model.safetensors",
        ),
        "openai": Builtin(
            "steelyard.models.services:open_openai",
            "a service that speaks the OpenAI protocol: url=…/v1, model=NAME",
        ),
        "openai-completions": Builtin(
            "steelyard.models.services:open_completions",
            "texts gone on with by a service of the OpenAI protocol: url=…/v1, model=NAME",
        ),
        "sglang": Builtin(
            "steelyard.models.sglang:Sglang", "texts and pictures in an SGLang engine: path=…, tp_size=1"
        ),
        "tgi": Builtin("steelyard.models.services:open_tgi", "a service of TGI: url=…"),
        "triton": Builtin(
            "steelyard.models.services:open_triton", "a model behind Triton's generate: url=…, model=NAME"
        ),
        "vllm": Builtin(
            "steelyard.models.vllm:Vllm", "texts and pictures in a vLLM engine: path=…, max_model_len=…"
        ),
    },
    "data": {
        "demo/arithmetic": Builtin("steelyard.data.demo:ARITHMETIC", "word problems with worked answers"),
        "demo/choice": Builtin("steelyard.data.demo:CHOICE", "questions with four options"),
        "demo/sentences": Builtin("steelyard.data.demo:SENTENCES", "short questions about short texts"),
        "demo/train": Builtin("steelyard.data.demo:TRAIN", "word problems to show as worked examples"),
    },
    "layouts": {
        "aime": Builtin("steelyard.data.layouts.problems:AIME", "problems with whole numbers as answers"),
        "arc_challenge": Builtin(
            "steelyard.data.layouts.exams:ARC_CHALLENGE", "science questions, the harder part"
        ),
        "arc_easy": Builtin("steelyard.data.layouts.exams:ARC_EASY", "science questions, the easier part"),
        "ceval": Builtin("steelyard.data.layouts.exams:CEVAL", "Chinese exams of 52 subjects"),
        "cmmlu": Builtin("steelyard.data.layouts.exams:CMMLU", "Chinese exams of 67 subjects"),
        "gsm8k": Builtin("steelyard.data.layouts.problems:GSM8K", "word problems, answers after ####"),
        "humaneval": Builtin("steelyard.data.layouts.problems:HUMANEVAL", "functions to be written"),
        "ifeval": Builtin("steelyard.data.layouts.problems:IFEVAL", "prompts with instructions to follow"),
        "math": Builtin("steelyard.data.layouts.problems:MATH", "problems with \\boxed answers"),
        "mcq": Builtin(
            "steelyard.data.layouts.exams:MCQ", "questions with options A, B, … or a list of choices"
        ),
        "mmlu": Builtin("steelyard.data.layouts.exams:MMLU", "exams of 57 subjects"),
        "mtbench": Builtin(
            "steelyard.data.layouts.conversations:MTBENCH", "questions of two turns, the first asked"
        ),
        "preference": Builtin(
            "steelyard.data.layouts.preferences:PREFERENCE",
            "answers or pieces of music that people compared or rated",
        ),
        "qa": Builtin("steelyard.data.layouts.problems:QA", "questions with short answers"),
        "sharegpt": Builtin(
            "steelyard.data.layouts.conversations:SHAREGPT", "conversations up to the user's last turn"
        ),
    },
    "extractors": {
        "boxed": Builtin("steelyard.metrics.extraction:find_box", "what the last \\boxed{…} holds"),
        "formula": Builtin(
            "steelyard.metrics.extraction.formulas:find_formula",
            "the mathematical answer: boxed, marked, last",
        ),
        "json": Builtin("steelyard.metrics.extraction.objects:find_object", "the JSON object in the text"),
        "last_line": Builtin(
            "steelyard.metrics.extraction:find_last_line", "the last line that is not blank"
        ),
        "letter": Builtin("steelyard.metrics.extraction.letters:find_letter", "the option that is chosen"),
        "number": Builtin(
            "steelyard.metrics.extraction.numbers:find_number", "the number that is the answer"
        ),
        "order": Builtin(
            "steelyard.metrics.extraction.orders:find_order", "the order of pages, by number or letter"
        ),
        "program": Builtin(
            "steelyard.metrics.extraction.programs:find_program",
            "the function that was asked for, with its prompt",
        ),
        "text": Builtin("steelyard.metrics.extraction:find_text", "the whole text, without reasoning"),
    },
    "tasks": {
        "aime": Builtin("steelyard.tasks.mathematics:aime", "AIME: whole numbers, in \\boxed"),
        "arc_challenge": Builtin(
            "steelyard.tasks.exams:arc_challenge", "the harder science questions of ARC"
        ),
        "arc_easy": Builtin("steelyard.tasks.exams:arc_easy", "the easier science questions of ARC"),
        "arithmetic": Builtin("steelyard.tasks.written:arithmetic", "word problems in the GSM8K format"),
        "ceval": Builtin("steelyard.tasks.exams:ceval", "C-Eval: Chinese exams of 52 subjects"),
        "charts": Builtin(
            "steelyard.tasks.vision:charts", "numbers and short answers about charts, 5 % off at most"
        ),
        "choice": Builtin(
            "steelyard.tasks.choice:choice_task",
            "given options: by=auto, letter, letter-likelihood, likelihood",
        ),
        "classification": Builtin(
            "steelyard.tasks.labels:classification", "texts with one of several labels"
        ),
        "cmmlu": Builtin("steelyard.tasks.exams:cmmlu", "CMMLU: Chinese exams of 67 subjects"),
        "fields": Builtin(
            "steelyard.tasks.vision:fields", "fields of documents as JSON, compared field by field"
        ),
        "gsm8k": Builtin("steelyard.tasks.mathematics:gsm8k", "GSM8K: word problems, step by step"),
        "humaneval": Builtin(
            "steelyard.tasks.programs:humaneval", "HumanEval: functions that must pass their tests"
        ),
        "ifeval": Builtin(
            "steelyard.tasks.instructions:ifeval", "IFEval: prompts with instructions to follow"
        ),
        "math": Builtin("steelyard.tasks.mathematics:math", "MATH and its exports: formulas in \\boxed"),
        "mcq": Builtin("steelyard.tasks.exams:mcq", "questions of one's own with options A, B, …"),
        "mmlu": Builtin("steelyard.tasks.exams:mmlu", "MMLU: exams of 57 subjects"),
        "page_order": Builtin("steelyard.tasks.vision:page_order", "pages that are out of order"),
        "pages": Builtin("steelyard.tasks.vision:pages", "what kind of document it is: labels=…"),
        "preference": Builtin(
            "steelyard.tasks.rewards:preference",
            "which answers or pieces of music people prefer, for reward models",
        ),
        "qa": Builtin("steelyard.tasks.written:qa", "questions of one's own with short answers"),
        "questions": Builtin("steelyard.tasks.written:questions", "questions with short answers"),
        "summaries": Builtin("steelyard.tasks.written:summaries", "texts with a reference summary"),
        "transcribe": Builtin("steelyard.tasks.vision:transcribe", "all the text of a picture"),
        "vqa": Builtin("steelyard.tasks.vision:vqa", "short answers about pictures"),
    },
    "metrics": {
        "acc": Builtin("steelyard.metrics.choices:acc", "the right option is the likeliest"),
        "acc_bytes": Builtin(
            "steelyard.metrics.choices:acc_bytes", "the right option is the likeliest per byte"
        ),
        "acc_norm": Builtin(
            "steelyard.metrics.choices:acc_norm", "the right option is the likeliest per character"
        ),
        "acc_token": Builtin(
            "steelyard.metrics.choices:acc_token", "the right option is the likeliest per token"
        ),
        "accuracy": Builtin("steelyard.metrics.labels:accuracy", "the label given is the target"),
        "alignment_ktau": Builtin(
            "steelyard.metrics.correlations:alignment_ktau",
            "Kendall's tau-b of scores and ratings of alignment",
        ),
        "alignment_lcc": Builtin(
            "steelyard.metrics.correlations:alignment_lcc",
            "Pearson's correlation of scores and ratings of alignment",
        ),
        "alignment_srcc": Builtin(
            "steelyard.metrics.correlations:alignment_srcc",
            "Spearman's correlation of scores and ratings of alignment",
        ),
        "anls": Builtin(
            "steelyard.metrics.documents:anls", "similarity to the target, 0 below a half (DocVQA)"
        ),
        "auroc": Builtin("steelyard.metrics.labels:auroc", "area under the ROC curve, averaged over labels"),
        "bleu": Builtin("steelyard.metrics.corpus:bleu", "BLEU over the whole set, as sacrebleu has it"),
        "cer": Builtin("steelyard.metrics.overlap:cer", "character errors for each character of the target"),
        "choice": Builtin(
            "steelyard.metrics.choices:choice",
            "the option chosen in the text, by letter or words, is the target",
        ),
        "choice_prob": Builtin(
            "steelyard.metrics.choices:choice_prob", "the probability of the right option"
        ),
        "chrf": Builtin("steelyard.metrics.corpus:chrf", "chrF over the whole set"),
        "clinical_correctness": Builtin(
            "steelyard.metrics.clinical:clinical_correctness", "equal, or one in the other, word for word"
        ),
        "confusion": Builtin("steelyard.metrics.labels:confusion", "how often each target got each label"),
        "code_passes": Builtin(
            "steelyard.metrics.code:code_passes",
            "the program passes the tests of its sample; it is run, behind walls",
        ),
        "contains": Builtin("steelyard.metrics.text:contains", "the target occurs in the answer"),
        "contains_ci": Builtin(
            "steelyard.metrics.text:contains_ci", "the target occurs in the answer, up to case"
        ),
        "duel": Builtin(
            "steelyard.metrics.judges:duel",
            "a factory: duel(model) asks which of two answers is better, in both orders",
        ),
        "exact": Builtin("steelyard.metrics.text:exact", "the answer is the target"),
        "exact_ci": Builtin(
            "steelyard.metrics.text:exact_ci", "the answer is the target, up to case and white space"
        ),
        "exact_words": Builtin(
            "steelyard.metrics.text:exact_words",
            "the answer has the target's words, up to case, punctuation, articles",
        ),
        "f1_macro": Builtin("steelyard.metrics.labels:f1_macro", "F1, averaged over labels"),
        "f1_micro": Builtin("steelyard.metrics.labels:f1_micro", "F1 over all labels together"),
        "f1_weighted": Builtin(
            "steelyard.metrics.labels:f1_weighted", "F1, averaged over labels by their frequency"
        ),
        "fields": Builtin(
            "steelyard.metrics.objects:fields", "a JSON object against the target's, field by field"
        ),
        "formula": Builtin(
            "steelyard.metrics.mathematics:formula",
            "the formula the answer gives means the same as the target",
        ),
        "ifeval": Builtin(
            "steelyard.metrics.instructions.following:ifeval",
            "all instructions of the prompt are followed, strictly and loosely",
        ),
        "instruction_kinds": Builtin(
            "steelyard.metrics.instructions.following:instruction_kinds",
            "each kind of instruction is followed",
        ),
        "instructions_loose": Builtin(
            "steelyard.metrics.instructions.following:instructions_loose",
            "the share of instructions followed, loosely",
        ),
        "instructions_strict": Builtin(
            "steelyard.metrics.instructions.following:instructions_strict",
            "the share of instructions that are followed",
        ),
        "judge": Builtin(
            "steelyard.metrics.judges:judge", "a factory: judge(model) asks a model for a grade"
        ),
        "kendall": Builtin("steelyard.metrics.orders:kendall", "Kendall's tau of an order of pages"),
        "margin": Builtin(
            "steelyard.metrics.preferences:margin",
            "how much higher the lowest right answer scores than the highest wrong one",
        ),
        "musicality_ktau": Builtin(
            "steelyard.metrics.correlations:musicality_ktau",
            "Kendall's tau-b of scores and ratings of musicality",
        ),
        "musicality_lcc": Builtin(
            "steelyard.metrics.correlations:musicality_lcc",
            "Pearson's correlation of scores and ratings of musicality",
        ),
        "musicality_srcc": Builtin(
            "steelyard.metrics.correlations:musicality_srcc",
            "Spearman's correlation of scores and ratings of musicality",
        ),
        "number": Builtin("steelyard.metrics.numbers:number", "the number the answer gives is the target"),
        "pages_exact": Builtin("steelyard.metrics.orders:pages_exact", "the order of pages is the target"),
        "precision_macro": Builtin(
            "steelyard.metrics.labels:precision_macro", "precision, averaged over labels"
        ),
        "precision_micro": Builtin(
            "steelyard.metrics.labels:precision_micro", "precision over all labels together"
        ),
        "precision_weighted": Builtin(
            "steelyard.metrics.labels:precision_weighted",
            "precision, averaged over labels by their frequency",
        ),
        "preference": Builtin(
            "steelyard.metrics.preferences:preference",
            "what people prefer, a text or a piece of music, scores higher",
        ),
        "preference_alignment": Builtin(
            "steelyard.metrics.preferences:preference_alignment",
            "the piece preferred for how it follows its text scores higher on alignment",
        ),
        "preference_musicality": Builtin(
            "steelyard.metrics.preferences:preference_musicality",
            "the piece preferred for its musicality scores higher on musicality",
        ),
        "recall_macro": Builtin("steelyard.metrics.labels:recall_macro", "recall, averaged over labels"),
        "recall_micro": Builtin("steelyard.metrics.labels:recall_micro", "recall over all labels together"),
        "recall_weighted": Builtin(
            "steelyard.metrics.labels:recall_weighted", "recall, averaged over labels by their frequency"
        ),
        "regex": Builtin(
            "steelyard.metrics.text:regex", "the pattern that is the target occurs in the answer"
        ),
        "relaxed": Builtin(
            "steelyard.metrics.documents:relaxed", "a number within 5 % of the target, else equal (ChartQA)"
        ),
        "rewardbench": Builtin(
            "steelyard.metrics.rewardbench:rewardbench", "RewardBench's score: the mean over its sections"
        ),
        "rewardbench2": Builtin(
            "steelyard.metrics.rewardbench:rewardbench2", "RewardBench 2's score: the mean over its subsets"
        ),
        "rewards": Builtin(
            "steelyard.metrics.preferences:rewards", "the scores themselves, where nobody said what is right"
        ),
        "rouge_1": Builtin("steelyard.metrics.overlap:rouge_1", "F1 of words"),
        "rouge_2": Builtin("steelyard.metrics.overlap:rouge_2", "F1 of pairs of words"),
        "rouge_l": Builtin(
            "steelyard.metrics.overlap:rouge_l", "F1 of the longest common subsequence of words"
        ),
        "spearman": Builtin("steelyard.metrics.orders:spearman", "Spearman's rho of an order of pages"),
        "starts_with": Builtin("steelyard.metrics.text:starts_with", "the answer begins with the target"),
        "token_f1": Builtin(
            "steelyard.metrics.overlap:token_f1", "F1 of words, up to case, punctuation, articles"
        ),
        "wer": Builtin("steelyard.metrics.overlap:wer", "word errors for each word of the target"),
    },
    "wires": {
        "kserve": Builtin(
            "steelyard.wire.kserve:KServe", "tensors of KServe's v2 infer, as Triton has it too: model=NAME"
        ),
        "mindie": Builtin("steelyard.wire.mindie:MindIE", "MindIE's infer"),
        "openai": Builtin("steelyard.wire.openai:OpenAI", "chat completions, as many services speak them"),
        "openai-completions": Builtin(
            "steelyard.wire.completions:Completions", "completions of texts in the OpenAI protocol"
        ),
        "openai-embeddings": Builtin(
            "steelyard.wire.embeddings:Embeddings", "texts as vectors in the OpenAI protocol"
        ),
        "plain": Builtin("steelyard.wire.plain:Plain", "a JSON list of inputs, a JSON list of answers"),
        "tgi": Builtin("steelyard.wire.tgi:TGI", "generate and generate_stream of text-generation-inference"),
        "triton": Builtin(
            "steelyard.wire.triton:Triton", "generate and generate_stream of Triton: model=NAME"
        ),
    },
    "workloads": {
        "burstgpt": Builtin(
            "steelyard.workloads.traces:make_burstgpt",
            "times and lengths in columns, as BurstGPT and Azure record them: data=FILE",
        ),
        "custom": Builtin(
            "steelyard.workloads.recorded:Recorded", "requests of one's own, a row each: data=FILE"
        ),
        "mooncake": Builtin(
            "steelyard.workloads.traces:make_mooncake", "times, lengths and hashes of blocks: data=FILE"
        ),
        "mtbench": Builtin(
            "steelyard.workloads.conversations:make_mtbench", "questions of two turns: data=FILE"
        ),
        "prefixes": Builtin(
            "steelyard.workloads.synthetic:make_prefixes", "made prompts that share beginnings: hit_rate=0.9"
        ),
        "sharegpt": Builtin(
            "steelyard.workloads.conversations:make_sharegpt", "conversations, turn by turn: data=FILE"
        ),
        "synthetic": Builtin(
            "steelyard.workloads.synthetic:Synthetic", "made prompts of exact length: input=512 output=128"
        ),
        "task": Builtin("steelyard.workloads.tasked:Tasked", "the questions of any task: task=NAME"),
    },
}

"""The interface of a benchmark of vision-language models: ModelFactory, ModelInterface, model_utils."""

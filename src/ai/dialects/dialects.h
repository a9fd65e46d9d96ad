// The dialects one by one. Internal to dialects/; others call dialect(kind) of dialect.h.
#pragma once
#include "ai/dialects/dialect.h"

namespace kvcs::ai {

const Dialect& chat_completions_dialect();
const Dialect& responses_dialect();
const Dialect& embeddings_dialect();
const Dialect& messages_dialect();

// OpenAI's error object: {"message", "type", "param", "code"}.
std::string openai_error(const Status& failure);

}  // namespace kvcs::ai

// How artifacts are written in rows and sentences.
import type { Schema } from '../../api/client';

export type Artifact = Schema<'Artifact'>;
export type PublicArtifact = Schema<'PublicArtifact'>;
export type Visibility = Artifact['visibility'];

// "I8 of F16" for what is quantised, "F16" for what is plain.
export function schemeOf({
  dtype,
  storage_dtype,
  quantized,
}: Pick<Artifact, 'dtype' | 'storage_dtype' | 'quantized'>): string {
  if (!quantized) return storage_dtype ?? dtype;
  return storage_dtype && storage_dtype !== dtype
    ? `${storage_dtype} of ${dtype}`
    : `quantised, of ${dtype}`;
}

// "law, de  long context" → ["law", "de", "long context"]: by commas, each once.
export function parseTags(text: string): string[] {
  return [
    ...new Set(
      text
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== ''),
    ),
  ];
}
export const modelOf = (one: Artifact): string => one.model_name ?? one.model ?? '';

// What the head of the stored file says, read by a range of its bytes: geometry, scheme, what it was
// made of. And what its sidecar says: the text, and the ids of its tokens.
import { api, isRecord } from '../../api/client';
import { useQuery } from '../../api/query';
import { href } from '../../router';
import {
  Bytes,
  Code,
  Count,
  counted,
  ErrorBox,
  type Fact,
  Facts,
  formatBytes,
  Section,
  Skeleton,
} from '../../ui';
import { type KvHeader, readHeader } from './kv-header';
import { blobAddress } from './change';
import { type Artifact } from './words';

export function useHeader(one: Artifact | undefined) {
  const key = one?.download_url && one.sha256 ? `head ${one.sha256}` : null;
  return useQuery<KvHeader>(key, (signal) =>
    readHeader(async (from, to) => {
      const url = blobAddress(one?.download_url ?? '');
      const answer = await api.raw(
        url,
        { headers: { range: `bytes=${from}-${to - 1}` }, signal },
        15_000,
      );
      return new Uint8Array(await answer.arrayBuffer());
    }, one?.size_bytes ?? 0),
  );
}

const named: [string, string][] = [
  ['kvcs.arch', 'Architecture'],
  ['kvcs.model_revision', 'Model revision'],
  ['kvcs.tokenizer', 'Tokenizer'],
  ['kvcs.rope_base', 'RoPE base'],
  ['kvcs.rope_layout', 'RoPE layout'],
  ['kvcs.rotation', 'Rotation'],
];

export function geometryFacts(head: KvHeader, bytes: number): Fact[] {
  const { layers, heads, tokens, headDim, firstToken, firstLayer, metadata } = head;
  return [
    {
      label: 'Scheme',
      value: <code>{head.scheme}</code>,
      note:
        head.scheme === 'plain'
          ? `stored as ${head.storageDtype}`
          : `${head.storageDtype}, for ${head.dtype} values`,
    },
    {
      label: 'Layers',
      value: <Count n={layers} />,
      ...(firstLayer > 0 && { note: `from layer ${firstLayer} on` }),
    },
    {
      label: 'Heads of keys and values',
      value: (
        <>
          {heads} × {headDim}
        </>
      ),
    },
    {
      label: 'Tokens',
      value: <Count n={tokens} />,
      ...(firstToken > 0 && { note: `${firstToken} to ${firstToken + tokens} of their text` }),
    },
    {
      label: 'A token takes',
      value: <Bytes bytes={tokens > 0 ? Math.round(bytes / tokens) : null} />,
    },
    {
      label: 'A layer takes',
      value: <Bytes bytes={head.perLayer[0]?.keyBytes} />,
      note: `of keys, and ${formatBytes(head.perLayer[0]?.valueBytes ?? 0)} of values`,
    },
    ...named.flatMap(([key, label]) => {
      const value = metadata[key];
      return value === undefined || value === 'none'
        ? []
        : [{ label, value: <span dir="auto">{value}</span> }];
    }),
  ];
}

export function Geometry({ one }: { one: Artifact }) {
  const head = useHeader(one);
  return (
    <Section title="Inside" note={head.data && 'As the head of the stored file says.'}>
      {head.data ? (
        <Facts facts={geometryFacts(head.data, one.size_bytes)} />
      ) : head.error ? (
        <ErrorBox error={head.error} onRetry={head.refresh} />
      ) : one.download_url ? (
        <Skeleton lines={2} />
      ) : (
        <p class="muted">Not stored yet.</p>
      )}
      {head.data && <Layers head={head.data} />}
    </Section>
  );
}

// How many bytes each layer takes, where they are not all alike.
function Layers({ head }: { head: KvHeader }) {
  const sizes = head.perLayer.map((row) => row.keyBytes + row.valueBytes);
  const most = Math.max(...sizes, 1);
  if (sizes.every((size) => size === sizes[0])) return null;
  return (
    <ol class="layers" aria-label="Bytes of each layer">
      {sizes.map((size, at) => (
        <li key={at} title={`Layer ${at}: ${formatBytes(size)}`}>
          <span style={{ opacity: 0.15 + 0.85 * (size / most) }} />
        </li>
      ))}
    </ol>
  );
}

export const sidecarOf = (one: Artifact): Record<string, unknown> => {
  const metadata = one.metadata as Record<string, unknown> | undefined;
  return isRecord(metadata?.['sidecar']) ? metadata['sidecar'] : {};
};
export const tokensOf = (one: Artifact): number[] => {
  const ids = sidecarOf(one)['tokens'];
  return Array.isArray(ids) ? ids.filter((id): id is number => Number.isInteger(id)) : [];
};

const shownChars = 1200;
const shownTokens = 64;
export function Preview({ one }: { one: Artifact }) {
  const prompt = sidecarOf(one)['prompt'];
  const text = typeof prompt === 'string' ? prompt : '';
  const tokens = tokensOf(one);
  if (text === '' && tokens.length === 0) return null;
  return (
    <Section title="Text" note="As its sidecar says; nobody has checked it against the values.">
      {text !== '' && (
        <blockquote class="prompt" dir="auto" tabIndex={0}>
          {text.slice(0, shownChars)}
          {text.length > shownChars && ' …'}
        </blockquote>
      )}
      {tokens.length > 0 && (
        <details class="token-ids">
          <summary>{counted(tokens.length, 'token id')}</summary>
          <p>
            <code>
              {tokens.slice(0, shownTokens).join(' ')}
              {tokens.length > shownTokens && ' …'}
            </code>
          </p>
        </details>
      )}
    </Section>
  );
}

// What it was made of, and what begins as it does.
export function Lineage({ one }: { one: Artifact }) {
  const head = useHeader(one).data;
  const tokens = tokensOf(one);
  const alike = useQuery(
    tokens.length > 0 ? `/api/v1/artifacts/search ${one.artifact_id}` : null,
    async (signal) => {
      const found = await api.post('/api/v1/artifacts/search', {
        body: { tokens: tokens.slice(0, asked), limit: 8 },
        reads: true,
        signal,
      });
      return found.hits.filter(
        (hit) => hit.artifact_id !== one.artifact_id && (hit.common_prefix ?? 0) > 0,
      );
    },
  );
  const source = head?.metadata['kvcs.source_format'];
  const digest = head?.metadata['kvcs.source_sha256'];
  const isCut = head !== undefined && (head.firstToken > 0 || head.firstLayer > 0);
  const hits = alike.data ?? [];
  if (!digest && !isCut && !source && hits.length === 0) return null;
  return (
    <Section title="Lineage">
      <ul class="lineage">
        {source && (
          <li>
            Source format: <b dir="auto">{source}</b>.
          </li>
        )}
        {digest && (
          <li>
            {head?.quantized || head?.scheme !== 'plain' ? (
              <>
                Quantised by <code>{head?.scheme}</code>
              </>
            ) : (
              'Made'
            )}{' '}
            from the file with SHA-256 <Code text={digest} label="digest" />.
          </li>
        )}
        {isCut && (
          <li>
            Cut out of a larger one: {head.firstToken > 0 && `from token ${head.firstToken} on`}
            {head.firstToken > 0 && head.firstLayer > 0 && ', '}
            {head.firstLayer > 0 && `from layer ${head.firstLayer} on`}.
          </li>
        )}
        {hits.map((hit) => (
          <li key={hit.artifact_id}>
            <a href={href('/artifacts/compare', { a: one.artifact_id, b: hit.artifact_id })}>
              <bdi>{hit.name}</bdi>
            </a>{' '}
            begins with the same {counted(Math.min(hit.common_prefix ?? 0, tokens.length), 'token')}.
          </li>
        ))}
      </ul>
    </Section>
  );
}
// So many tokens are asked for.
const asked = 2048;

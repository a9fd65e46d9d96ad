// Two artifacts side by side: what they say of themselves, and how far their texts are alike.
import type { ComponentChildren } from 'preact';
import { api } from '../../api/client';
import { useQuery } from '../../api/query';
import { href, setParams, useParam } from '../../router';
import {
  Button,
  Bytes,
  Code,
  Commands,
  Count,
  ErrorBox,
  formatCount,
  formatPercent,
  Page,
  Section,
  Skeleton,
  Time,
} from '../../ui';
import { onePath } from './change';
import { tokensOf, useHeader } from './Inside';
import type { KvHeader } from './kv-header';
import { Picker } from './Picker';
import { waysToCompare } from './ways';
import { type Artifact, modelOf, schemeOf } from './words';

interface Side {
  one: Artifact;
  head: KvHeader | undefined;
}
// `text` tells the two apart.
interface Row {
  label: string;
  text: (side: Side) => string;
  cell?: (side: Side) => ComponentChildren;
}

const ofHead = (label: string, text: (head: KvHeader) => string | number | undefined): Row => ({
  label,
  text: ({ head }) => (head === undefined ? '' : String(text(head) ?? '')),
});
const rows: Row[] = [
  { label: 'Model', text: ({ one }) => modelOf(one) },
  {
    label: 'Size',
    text: ({ one }) => String(one.size_bytes),
    cell: ({ one }) => <Bytes bytes={one.size_bytes} />,
  },
  {
    label: 'Tokens',
    text: ({ one }) => String(one.num_tokens),
    cell: ({ one }) => <Count n={one.num_tokens} />,
  },
  { label: 'Layers', text: ({ one }) => String(one.num_layers) },
  ofHead('Heads', (head) => `${head.heads} × ${head.headDim}`),
  {
    label: 'Values',
    text: ({ one }) => schemeOf(one),
    cell: ({ one }) => <code>{schemeOf(one)}</code>,
  },
  ofHead('Scheme', (head) => head.scheme),
  ofHead('First token', (head) => head.firstToken),
  ofHead('First layer', (head) => head.firstLayer),
  ofHead('Architecture', (head) => head.metadata['kvcs.arch']),
  ofHead('Tokenizer', (head) => head.metadata['kvcs.tokenizer']),
  ofHead('RoPE base', (head) => head.metadata['kvcs.rope_base']),
  { label: 'Project', text: ({ one }) => one.project },
  { label: 'Visibility', text: ({ one }) => one.visibility },
  { label: 'Tags', text: ({ one }) => one.tags.join(', ') },
  {
    label: 'Downloads',
    text: ({ one }) => String(one.downloads),
    cell: ({ one }) => <Count n={one.downloads} />,
  },
  {
    label: 'Made',
    text: ({ one }) => one.created_at,
    cell: ({ one }) => <Time at={one.created_at} />,
  },
  {
    label: 'SHA-256',
    text: ({ one }) => one.sha256 ?? '',
    cell: ({ one }) => (one.sha256 ? <Code text={one.sha256} label="digest" /> : '–'),
  },
];

export function useArtifact(id: string) {
  return useQuery<Artifact>(id === '' ? null : `/api/v1/artifacts/${id}`, (signal) =>
    api.get(onePath, { path: { id }, signal }),
  );
}

// How many tokens the two have in common from their first on, as the daemon's search says; null
// where it does not know their ids.
function useCommon(a: Artifact | undefined, b: Artifact | undefined) {
  const tokens = a ? tokensOf(a) : [];
  const key =
    a && b && tokens.length > 0
      ? `/api/v1/artifacts/search ${a.artifact_id} ${b.artifact_id}`
      : null;
  return useQuery<number | null>(key, async (signal) => {
    const found = await api.post('/api/v1/artifacts/search', {
      body: { tokens, limit: 100 },
      reads: true,
      signal,
    });
    return found.hits.find((hit) => hit.artifact_id === b?.artifact_id)?.common_prefix ?? null;
  });
}

function Chosen({
  label,
  one,
  error,
  id,
  param,
}: {
  label: string;
  one: Artifact | undefined;
  error: unknown;
  id: string;
  param: 'a' | 'b';
}) {
  if (id === '')
    return <Picker label={label} onPick={(picked) => setParams({ [param]: picked })} />;
  const other = (
    <Button
      kind="quiet"
      label={`${label}: choose another`}
      onClick={() => setParams({ [param]: null })}
    >
      Another
    </Button>
  );
  if (error)
    return (
      <div>
        <ErrorBox error={error} />
        {other}
      </div>
    );
  if (!one) return <Skeleton lines={1} />;
  return (
    <div class="compared">
      <a href={href(`/artifacts/${id}`)} class="artifact-name" dir="auto">
        {one.name}
      </a>{' '}
      {other}
    </div>
  );
}

export default function ComparePage() {
  const [a] = useParam('a');
  const [b] = useParam('b');
  const first = useArtifact(a);
  const second = useArtifact(b);
  const [inA, inB] = [useHeader(first.data), useHeader(second.data)];
  const heads = [
    <Chosen key="a" label="The first" one={first.data} error={first.error} id={a} param="a" />,
    <Chosen key="b" label="The second" one={second.data} error={second.error} id={b} param="b" />,
  ];
  const common = useCommon(first.data, second.data);
  const sides: Side[] =
    first.data && second.data && a !== '' && b !== ''
      ? [
          { one: first.data, head: inA.data },
          { one: second.data, head: inB.data },
        ]
      : [];
  const [left, right] = sides;
  const shared = common.data;
  return (
    <Page
      title="Compare"
      back={{ href: href('/artifacts'), label: 'Artifacts' }}
      state={
        left && right ? (
          <Sentence left={left} right={right} common={shared ?? undefined} />
        ) : (
          'Choose two artifacts'
        )
      }
      action={left && right && <Button onClick={() => setParams({ a: b, b: a })}>Swap</Button>}
    >
      {!(left && right) && <div class="compare-heads">{heads}</div>}
      {left && right && (
        <>
          <table class="table plain compare-table" aria-label="The two artifacts">
            <thead>
              <tr>
                <th scope="col">
                  <span class="visually-hidden">Fact</span>
                </th>
                {heads.map((head, at) => (
                  <th key={at} scope="col">
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <FactRow key={row.label} row={row} left={left} right={right} />
              ))}
            </tbody>
          </table>
          <Section
            title="The values themselves"
            note="How far the stored values are apart is measured where the files are."
          >
            <Commands label="Compare the values" ways={waysToCompare(left.one, right.one)} />
          </Section>
        </>
      )}
    </Page>
  );
}

function Sentence({
  left,
  right,
  common,
}: {
  left: Side;
  right: Side;
  common: number | undefined;
}) {
  if (left.one.sha256 && left.one.sha256 === right.one.sha256) return <>The same bytes</>;
  const [large, small] =
    left.one.size_bytes >= right.one.size_bytes ? [left.one, right.one] : [right.one, left.one];
  return (
    <>
      {small.size_bytes === large.size_bytes ? (
        'Of the same size'
      ) : (
        <>
          The {small === left.one ? 'first' : 'second'} has{' '}
          {formatPercent(large.size_bytes > 0 ? small.size_bytes / large.size_bytes : 1)} of the
          other's bytes
        </>
      )}
      {common !== undefined && <> · {common === 1 ? 'the first token is' : `the first ${formatCount(common)} tokens are`} the same</>}
    </>
  );
}

function FactRow({ row, left, right }: { row: Row; left: Side; right: Side }) {
  const [a, b] = [row.text(left), row.text(right)];
  if (a === '' && b === '') return null;
  const cell = (side: Side, text: string) =>
    text === '' ? (
      <span class="muted">–</span>
    ) : row.cell ? (
      row.cell(side)
    ) : (
      <span dir="auto">{text}</span>
    );
  return (
    <tr class={a === b ? undefined : 'differs'}>
      <th scope="row">
        {row.label}
        {a !== b && <span class="differs-mark"> differs</span>}
      </th>
      <td>{cell(left, a)}</td>
      <td>{cell(right, b)}</td>
    </tr>
  );
}

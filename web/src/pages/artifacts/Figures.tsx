// The values of each layer, as the daemon has read them: a picture of their size, and the figures as a
// table. They are read when somebody asks, as that takes the daemon a moment.
import { useState } from 'preact/hooks';
import { api, type Schema } from '../../api/client';
import { useQuery } from '../../api/query';
import {
  Button,
  type Column,
  Count,
  ErrorBox,
  formatCount,
  formatPercent,
  Notice,
  Section,
  Skeleton,
  Table,
} from '../../ui';
import type { Artifact } from './words';

type Report = Schema<'Inspection'>;
type Layer = Schema<'LayerFigures'>;
type Part = Schema<'PartFigures'>;
type Which = 'keys' | 'values';

// Null: of the values that were read none is finite.
const short = (n: number | null): string => (n === null ? 'none' : n.toPrecision(3));
const rmsOf = (layer: Layer, which: Which): number | null | undefined => layer[which]?.rms;

// The darkest is the layer whose values are the largest; the table has the same for everybody.
function Heat({ report }: { report: Report }) {
  return (
    <div class="heat" aria-hidden="true">
      {(['keys', 'values'] as const).map((which) => {
        const all = report.per_layer.map((layer) => rmsOf(layer, which));
        const most = Math.max(...all.map((rms) => rms ?? 0), Number.MIN_VALUE);
        return (
          <div key={which} class="heat-row">
            <span>{which === 'keys' ? 'Keys' : 'Values'}</span>
            <ol class="layers">
              {all.map((rms, at) => (
                <li
                  key={at}
                  title={`Layer ${at}: ${rms === undefined ? 'not read' : `RMS ${short(rms)}`}`}
                >
                  <span style={{ opacity: typeof rms === 'number' ? 0.1 + 0.9 * (rms / most) : 0 }} />
                </li>
              ))}
            </ol>
          </div>
        );
      })}
    </div>
  );
}

interface Row {
  id: string;
  layer: number;
  which: Which;
  part: Part | null;
}
const figure = (
  key: string,
  label: string,
  show: (part: Part) => string,
  narrow: Column<Row>['narrow'] = 'hide',
): Column<Row> => ({
  key,
  label,
  align: 'right',
  narrow,
  cell: ({ part }) => (part ? <span class="figure">{show(part)}</span> : <span>not read</span>),
});
const columns: Column<Row>[] = [
  {
    key: 'layer',
    label: 'Layer',
    cell: ({ layer, which }) => `${layer} ${which}`,
  },
  figure('rms', 'RMS', (part) => short(part.rms), 'side'),
  figure('min', 'Least', (part) => short(part.min)),
  figure('max', 'Most', (part) => short(part.max)),
  figure('mean', 'Mean', (part) => short(part.mean)),
  figure('zeros', 'Zeros', (part) => formatPercent(part.zero_share), 'sub'),
  figure('bad', 'Not finite', (part) => formatCount(part.nonfinite), 'end'),
];

const rowsOf = (report: Report): Row[] =>
  report.per_layer.flatMap((layer) =>
    (['keys', 'values'] as const).map((which) => ({
      id: `${layer.layer} ${which}`,
      layer: layer.layer,
      which,
      part: layer[which],
    })),
  );

function Read({ report }: { report: Report }) {
  const { values, values_read, is_sample } = report.read;
  const bad = rowsOf(report).reduce((sum, row) => sum + (row.part?.nonfinite ?? 0), 0);
  return (
    <>
      {bad > 0 && (
        <Notice tone="warn">
          <Count n={bad} /> of the values are not finite: NaN or infinite.
        </Notice>
      )}
      <p class="muted">
        {is_sample
          ? `A sample: ${formatCount(values_read)} of ${formatCount(values)} values were read, evenly spaced.`
          : `All ${formatCount(values)} values were read.`}
      </p>
      <Heat report={report} />
      <details class="layer-figures">
        <summary>Figures of each layer</summary>
        <Table
          label="Figures of each layer"
          rows={rowsOf(report)}
          columns={columns}
          idOf={(row) => row.id}
        />
      </details>
    </>
  );
}

export function LayerFigures({ one }: { one: Artifact }) {
  const [asked, ask] = useState(false);
  const id = one.artifact_id;
  const report = useQuery<Report>(
    asked ? `/api/v1/artifacts/${id}/inspect ${one.sha256 ?? ''}` : null,
    (signal) =>
      api.get('/api/v1/artifacts/{id}/inspect', { path: { id }, signal, timeoutMs: 60_000 }),
  );
  return (
    <Section
      title="Values"
      action={!asked && <Button onClick={() => ask(true)}>Read the values</Button>}
    >
      {report.data ? (
        <Read report={report.data} />
      ) : report.error ? (
        <ErrorBox error={report.error} onRetry={report.refresh} />
      ) : asked ? (
        <Skeleton lines={2} />
      ) : (
        <p class="muted">
          Range, size and zeros of each layer’s keys and values, computed from the stored bytes.
        </p>
      )}
    </Section>
  );
}

// A chart of figures over time, with the same figures as a table and as CSV behind it. The drawing
// itself is loaded when the first chart is shown.
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatBytes, formatCount, formatMoney, formatMs, formatPercent } from './format';

export type Unit = 'usd' | 'bytes' | 'count' | 'ms' | 'percent' | 'per_s';
// `others`: drawn grey, the sum of those that are too many to name; `tone`: for what is a state, such
// as failures.
export interface Series {
  label: string;
  values: (number | null)[];
  dashed?: boolean;
  others?: boolean;
  tone?: 'good' | 'warn' | 'bad' | 'info';
}
// The custom property with the colour of the n-th series.
export const hueOf = (series: Series, nth: number): string =>
  series.tone ? `--${series.tone}` : series.others ? '--chart-others' : `--chart-${(nth % 6) + 1}`;

// `times`: seconds since 1970, one for each value; null values are gaps. `kind`: bars are stacked.
// `line`: a level to compare with, such as a budget. `log`: for values that spread over decades.
export interface ChartProps {
  title: string;
  times: number[];
  series: Series[];
  unit: Unit;
  kind?: 'lines' | 'bars';
  line?: { value: number; label: string } | undefined;
  log?: boolean;
  height?: number;
  // Whether the x axis has days (UTC) or moments.
  by?: 'day' | 'time';
  // Charts of one name tell the hovered time together.
  sync?: string;
}

const writers: Record<Unit, (value: number) => string> = {
  usd: formatMoney,
  bytes: formatBytes,
  count: (n) => formatCount(n, true),
  ms: formatMs,
  percent: formatPercent,
  per_s: (n) => `${formatCount(Number(n.toPrecision(3)), true)}/s`,
};
export const writeValue = (unit: Unit, value: number | null | undefined): string =>
  value === null || value === undefined ? '–' : writers[unit](value);

export function timeLabel(seconds: number, by: 'day' | 'time'): string {
  const date = new Date(seconds * 1000);
  return by === 'day'
    ? date.toISOString().slice(0, 10)
    : date.toLocaleString('en-GB', {
        day: 'numeric',
        month: 'short',
        hour: '2-digit',
        minute: '2-digit',
        hour12: false,
      });
}

// Comma-separated, for spreadsheets; a text that a spreadsheet would take for a formula is quoted.
export function chartCsv({ times, series, by = 'day' }: ChartProps): string {
  const cell = (text: string) => {
    const safe = /^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+$/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const rows = times.map((at, nth) => [
    by === 'day' ? timeLabel(at, 'day') : new Date(at * 1000).toISOString(),
    ...series.map((one) => String(one.values[nth] ?? '')),
  ]);
  return (
    [['time', ...series.map((one) => one.label)], ...rows]
      .map((row) => row.map(cell).join(','))
      .join('\n') + '\n'
  );
}

export function downloadText(name: string, text: string, type = 'text/csv'): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function Chart(props: ChartProps) {
  const { title, times, series, unit, height = 220, by = 'day' } = props;
  const [asTable, setAsTable] = useState(false);
  const hasValues = series.some((one) => one.values.some((value) => value !== null && value !== 0));
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <span class="chart-tools">
          <button
            type="button"
            class="button quiet small"
            aria-pressed={asTable}
            onClick={() => setAsTable(!asTable)}
          >
            Table
          </button>
          <button
            type="button"
            class="button quiet small"
            onClick={() =>
              downloadText(`${title.toLowerCase().replace(/\W+/g, '-')}.csv`, chartCsv(props))
            }
          >
            CSV
          </button>
        </span>
      </figcaption>
      {(series.length > 1 || props.line) && (
        <ul class="chart-legend">
          {series.map((one, nth) => (
            <li key={one.label} style={{ '--hue': `var(${hueOf(one, nth)})` }}>
              {one.label}
            </li>
          ))}
          {props.line && (
            <li class="level">
              {props.line.label}: {writeValue(unit, props.line.value)}
            </li>
          )}
        </ul>
      )}
      {asTable ? (
        <div class="chart-table" tabIndex={0}>
          <table class="table plain">
            <thead>
              <tr>
                <th scope="col">{by === 'day' ? 'Day (UTC)' : 'Time'}</th>
                {series.map((one) => (
                  <th key={one.label} scope="col" class="right">
                    {one.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((at, nth) => (
                <tr key={at}>
                  <th scope="row" class="figure">
                    {timeLabel(at, by)}
                  </th>
                  {series.map((one) => (
                    <td key={one.label} class="right figure">
                      {writeValue(unit, one.values[nth])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : hasValues ? (
        <Drawing {...props} height={height} by={by} />
      ) : (
        <p class="chart-none muted" style={{ height: `${height}px` }}>
          Nothing was counted in this span.
        </p>
      )}
    </figure>
  );
}

function Drawing(props: ChartProps & { height: number; by: 'day' | 'time' }) {
  const box = useRef<HTMLDivElement>(null);
  const drawn = useRef<{ update: (props: ChartProps) => void; destroy: () => void } | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shape = JSON.stringify([
    props.series.map((one) => [one.label, one.dashed]),
    props.kind,
    props.log,
    props.unit,
    props.line?.label,
  ]);
  useEffect(() => {
    let alive = true;
    void import('./drawing').then(({ draw }) => {
      if (alive && box.current) drawn.current = draw(box.current, latest.current);
    });
    return () => {
      alive = false;
      drawn.current?.destroy();
      drawn.current = null;
    };
  }, [shape]);
  useEffect(
    () => drawn.current?.update(latest.current),
    [props.times, props.series, props.line?.value],
  );
  return (
    <div
      class="chart-box"
      role="img"
      ref={box}
      style={{ height: `${props.height}px` }}
      aria-label={`${props.title}. ${props.series.map((one) => one.label).join(', ')}. The table has the figures.`}
    />
  );
}

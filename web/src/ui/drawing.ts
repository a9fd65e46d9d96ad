// Draws a chart with uPlot: lines or stacked bars, labels of the series beside the hovered values,
// colours of the theme. Loaded when a chart is shown.
import uPlot from 'uplot';
import { type ChartProps, hueOf, timeLabel, writeValue } from './Chart';

type Drawn = { update: (props: ChartProps) => void; destroy: () => void };

// A custom property as a colour that a canvas understands: the theme's half is taken by the browser.
function colour(box: HTMLElement, name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  box.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

// Stacked: each series on top of those before it. Where nothing is known there is a gap.
function columns({ times, series, kind, line }: ChartProps): uPlot.AlignedData {
  const below = new Array<number>(times.length).fill(0);
  const stacked = series.map((one) =>
    one.values.map((value, at) => {
      if (kind !== 'bars') return value;
      if (value === null) return null;
      below[at] = (below[at] ?? 0) + value;
      return below[at] ?? null;
    }),
  );
  // The topmost is drawn first, the lower ones over it.
  if (kind === 'bars') stacked.reverse();
  return [times, ...stacked, ...(line ? [times.map(() => line.value)] : [])] as uPlot.AlignedData;
}

function seriesOf(box: HTMLElement, props: ChartProps): uPlot.Series[] {
  const all = props.series.map((one, at): uPlot.Series => {
    const stroke = colour(box, hueOf(one, at));
    const bars = props.kind === 'bars';
    return {
      label: one.label,
      stroke,
      width: bars ? 0 : 2,
      spanGaps: false,
      ...(one.dashed && { dash: [6, 4] }),
      ...(bars && {
        fill: stroke,
        paths: uPlot.paths.bars!({ size: [0.72, 48] }),
        points: { show: false },
      }),
      ...(!bars && { points: { show: props.times.length === 1, size: 5 } }),
    };
  });
  if (props.kind === 'bars') all.reverse();
  if (props.line) {
    all.push({
      label: props.line.label,
      stroke: colour(box, '--muted'),
      width: 1.5,
      dash: [4, 4],
      points: { show: false },
    });
  }
  return [{}, ...all];
}

function axes(box: HTMLElement, props: ChartProps): uPlot.Axis[] {
  const style = {
    stroke: colour(box, '--muted'),
    font: `12px ${getComputedStyle(box).fontFamily}`,
  };
  const grid = { stroke: colour(box, '--line'), width: 1 };
  return [
    {
      ...style,
      grid: { show: false },
      ticks: { show: false },
      gap: 6,
      size: 28,
      ...(props.by !== 'time' && {
        values: (_, splits) => splits.map((at) => timeLabel(at, 'day').slice(5)),
        incrs: [1, 2, 7, 14, 30, 90].map((n) => n * 86_400),
      }),
      ...(props.by === 'time' && {
        values: (_, splits) =>
          splits.map((at) =>
            new Date(at * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }),
          ),
      }),
    },
    {
      ...style,
      grid,
      ticks: { show: false },
      size: 72,
      values: (_, splits) =>
        splits.map((value) => (value === null ? '' : writeValue(props.unit, value))),
    },
  ];
}

// The values at the hovered time, as text over the chart.
function tellHovered(read: () => ChartProps): uPlot.Plugin {
  const told = document.createElement('div');
  told.className = 'chart-told';
  const show = (plot: uPlot) => {
    const at = plot.cursor.idx;
    const { series, unit, times, by = 'day' } = read();
    told.hidden = at === null || at === undefined;
    if (at === null || at === undefined || times[at] === undefined) return;
    told.replaceChildren(
      line('chart-when', timeLabel(times[at], by)),
      ...series.map((one, nth) => {
        const row = line('', `${one.label} `);
        row.style.setProperty('--hue', `var(${hueOf(one, nth)})`);
        const value = document.createElement('b');
        value.textContent = writeValue(unit, one.values[at]);
        row.append(value);
        return row;
      }),
    );
    const left = plot.cursor.left ?? 0;
    told.classList.toggle('left', left > plot.over.clientWidth / 2);
  };
  const line = (name: string, text: string) => {
    const row = document.createElement('div');
    row.className = name;
    row.textContent = text;
    return row;
  };
  return {
    hooks: {
      init: (plot) => {
        told.hidden = true;
        plot.over.append(told);
      },
      setCursor: show,
    },
  };
}

export function draw(box: HTMLElement, first: ChartProps): Drawn {
  let props = first;
  const size = () => ({ width: Math.max(200, box.clientWidth), height: first.height ?? 220 });
  const top = () => topOf(props) * 1.05 || 1;
  const options: uPlot.Options = {
    ...size(),
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { show: props.kind !== 'bars' },
      ...(props.sync && { sync: { key: props.sync } }),
    },
    scales: {
      x: {
        time: true,
        ...(props.kind === 'bars' && {
          range: (_, min, max) => [min - 43_200 * spread(props), max + 43_200 * spread(props)],
        }),
      },
      y: props.log ? { distr: 3 } : { range: () => [0, top()] },
    },
    axes: axes(box, props),
    series: seriesOf(box, props),
    plugins: [tellHovered(() => props)],
    // Days are days of UTC.
    tzDate: (at) =>
      props.by === 'time' ? new Date(at * 1000) : uPlot.tzDate(new Date(at * 1000), 'Etc/UTC'),
  };
  let plot = new uPlot(options, columns(props), box);
  const fit = new ResizeObserver(() => plot.setSize(size()));
  fit.observe(box);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const redraw = () => {
    plot.destroy();
    plot = new uPlot(
      { ...options, ...size(), axes: axes(box, props), series: seriesOf(box, props) },
      columns(props),
      box,
    );
  };
  dark.addEventListener('change', redraw);
  addEventListener('kvcs-theme', redraw);
  return {
    update(next) {
      props = next;
      plot.setData(columns(next));
    },
    destroy() {
      fit.disconnect();
      dark.removeEventListener('change', redraw);
      removeEventListener('kvcs-theme', redraw);
      plot.destroy();
    },
  };
}

// The highest value. A level far above all of them stays out of sight, since below it they would be
// too; the legend has its figure.
const levelMaxTimes = 3;
export function topOf({ times, series, kind, line }: ChartProps): number {
  const tops = times.map((_, at) => {
    const values = series.map((one) => one.values[at] ?? 0);
    return kind === 'bars' ? values.reduce((sum, one) => sum + one, 0) : Math.max(...values, 0);
  });
  const highest = Math.max(...tops, 0);
  const level = line?.value ?? 0;
  return highest === 0 || level <= levelMaxTimes * highest ? Math.max(highest, level) : highest;
}

// How wide a bar's room is, in days.
function spread({ times }: ChartProps): number {
  const [a, b] = times;
  return a !== undefined && b !== undefined ? (b - a) / 86_400 : 1;
}

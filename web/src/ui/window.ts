// Which rows of a long list are drawn: those that are seen and a few around them.
import { useCallback, useEffect, useState } from 'preact/hooks';

const drawAllMax = 200;
const around = 12;

// `above` and `below`: the height in px of what is not drawn.
export interface Seen {
  from: number;
  to: number;
  above: number;
  below: number;
  scrollTo: (at: number) => void;
}

// The rows from `top` on (px above the visible part) in a part `height` px high.
export function seenRows(
  count: number,
  top: number,
  height: number,
  rowHeight: number,
): { from: number; to: number } {
  if (count <= drawAllMax) return { from: 0, to: count };
  const from = Math.max(0, Math.min(count, Math.floor(top / rowHeight) - around));
  return { from, to: Math.min(count, from + Math.ceil(height / rowHeight) + 2 * around) };
}

export function useWindow(count: number, body: { current: HTMLElement | null }): Seen {
  const [at, setAt] = useState({ top: 0, rowHeight: 36 });
  const many = count > drawAllMax;
  useEffect(() => {
    if (!many) return;
    const look = () => {
      const box = body.current;
      if (!box) return;
      const rowHeight = box.querySelector<HTMLElement>('.row')?.offsetHeight || 36;
      const top = Math.max(0, -box.getBoundingClientRect().top);
      setAt((old) => (old.top === top && old.rowHeight === rowHeight ? old : { top, rowHeight }));
    };
    look();
    addEventListener('scroll', look, { passive: true });
    addEventListener('resize', look);
    return () => {
      removeEventListener('scroll', look);
      removeEventListener('resize', look);
    };
  }, [many, count]);
  const height = typeof innerHeight === 'number' ? innerHeight : 800;
  const { from, to } = seenRows(count, at.top, height, at.rowHeight);
  const scrollTo = useCallback(
    (row: number) => {
      const box = body.current;
      if (!box || !many) return;
      const y = box.getBoundingClientRect().top + row * at.rowHeight;
      if (y < 120 || y > innerHeight - 80) scrollBy(0, y - innerHeight / 2);
    },
    [many, at.rowHeight],
  );
  return { from, to, above: from * at.rowHeight, below: (count - to) * at.rowHeight, scrollTo };
}

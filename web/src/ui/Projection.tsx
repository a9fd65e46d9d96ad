// What the month will have cost if it goes on like this, as the daemon reckons it, against the budget.
import { Money } from './figures';
import { State } from './State';

// `usd` null: in the month's first day nothing can be told.
export function Projection({
  usd,
  allowed,
}: {
  usd: number | null | undefined;
  allowed: number | null | undefined;
}) {
  if (usd === null || usd === undefined) return null;
  const words = (
    <>
      <Money usd={usd} /> at the month’s end
    </>
  );
  if (allowed === null || allowed === undefined || usd <= allowed) return <span class="projection">{words}</span>;
  return (
    <span class="projection">
      <State state="over" tone="warn">
        {words}, over the budget
      </State>
    </span>
  );
}

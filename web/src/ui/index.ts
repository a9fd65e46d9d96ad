// The pieces that pages are made of. web/README.md shows a page that uses them.
export { Budget } from './Budget';
export { Chart, type ChartProps, downloadText, type Series } from './Chart';
export { Code, Command, Commands, Copy, Secret } from './Command';
export { AccountName, Button, Checkbox, type Choice, Field, LinkButton, Select, TextField } from './controls';
export { DateRange, daysOf, endOfDay, instantsOf, type Range, useRange } from './DateRange';
export { Confirm, Dialog } from './Dialog';
export { Empty, ErrorBox, Loaded, NewRows, Notice, Pager, Skeleton } from './feedback';
export { Bytes, Count, Duration, Money, Percent, Time } from './figures';
export { type Filter, FilterBar, FilterChips, type Search, useSearch, useTyped } from './FilterBar';
export {
  codeOf,
  counted,
  dirOf,
  exactTime,
  formatBytes,
  formatCount,
  formatDuration,
  formatMoney,
  formatMs,
  formatPercent,
  formatTime,
  prettyJson,
  shortId,
  type Tone,
  toneOf,
  wholeOf,
} from './format';
export { Form, type Values } from './Form';
export { Menu, type MenuItem } from './Menu';
export { type Fact, Facts, Figures, Page, Section, type Tab, Tabs, useTab } from './Page';
export { forecast, Projection } from './Projection';
export { Badge, Meter, State } from './State';
export { tookColumn, whenColumn } from './columns';
export { type Column, Table } from './Table';
export { toast, Toasts, told } from './Toast';

// What the tests use, bundled into one module so that there is one preact.
export { h } from 'preact';
export { render } from 'preact-render-to-string';
export { ApiError, readSnapshot } from '../src/api/client';
export { StatusView } from '../src/pages/ops/StatusPage';
export { formatDuration, toneOf } from '../src/ui/format';

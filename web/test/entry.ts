// What the tests use, bundled into one module so that there is one preact.
export { h } from 'preact';
export { render } from 'preact-render-to-string';
export { noteServerTime, serverNow } from '../src/clock';
export { Client, fillPath, queryString } from '../src/api/client';
export { ApiError, refusalOf } from '../src/api/error';
export { pageOf } from '../src/frame/Frame';
export { areaOf, areas } from '../src/frame/map';
export { rank } from '../src/frame/Palette';
export { wayBack } from '../src/pages/portal/SignIn';
export { nextOf } from '../src/pages/portal/LoginPage';
export { href, matchPath, parseHash } from '../src/router';
export { chartCsv, writeValue } from '../src/ui/Chart';
export { fieldErrors } from '../src/ui/controls';
export { daysOf, rangeOf } from '../src/ui/DateRange';
export * from '../src/ui/format';
export { seenRows } from '../src/ui/window';
export * as ui from '../src/ui';

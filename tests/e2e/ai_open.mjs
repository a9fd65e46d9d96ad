// Uses of unmodified clients that still differ through kvcs, by what has to be mended. Their tests
// run and do not count.
const kOpen = {};

const reason = (name) => Object.keys(kOpen).find((one) => kOpen[one].includes(name));
export const open = (name) => (reason(name) === undefined ? {} : { todo: reason(name) });

// llama.cpp itself, as a process of its own that does one job and ends:
//   node engine.mjs save MODEL OUT.seq IDS.json [KEY_TYPE VALUE_TYPE]    evaluates the ids, saves
//   node engine.mjs continue MODEL STATE.seq [KEY_TYPE VALUE_TYPE]       restores, goes on greedily
//   node engine.mjs fresh MODEL IDS.json [KEY_TYPE VALUE_TYPE]           evaluates, goes on greedily
// Prints as JSON how many tokens it had taken over, and the tokens that it went on with.
import { readFileSync } from 'node:fs';
import { getLlama } from 'node-llama-cpp';

const [job, modelPath, ...rest] = process.argv.slice(2);
const [state, ids] = job === 'save' ? [rest.shift(), rest.shift()]
  : job === 'continue' ? [rest.shift()] : [undefined, rest.shift()];
const [keyType, valueType = keyType] = rest;

const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 2, logLevel: 'error' });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const types = keyType && { flashAttention: true, experimentalKvCacheKeyType: keyType, experimentalKvCacheValueType: valueType };
const context = await model.createContext({ contextSize: 512, sequences: 1, threads: 2, ...types });
const sequence = context.getSequence();
if (job === 'continue') {
  await sequence.loadStateFromFile(state, { acceptRisk: true });
} else {
  await sequence.evaluateWithoutGeneratingNewTokens(JSON.parse(readFileSync(ids, 'utf8')));
}
const taken = sequence.nextTokenIndex;
const tokens = [];
if (job === 'save') {
  await sequence.saveStateToFile(state);
} else {
  for await (const token of sequence.evaluate([310, 311], { temperature: 0 })) {
    tokens.push(token);
    if (tokens.length === 24) break;
  }
}
console.log(JSON.stringify({ taken, tokens }));
process.exit(0);

-- wrk script: sends the request that environment variables describe; prints one line of JSON.

wrk.method = os.getenv("BENCH_METHOD")
wrk.headers["X-API-Key"] = os.getenv("BENCH_API_KEY")

local body = os.getenv("BENCH_BODY_FILE")
if body then
  local file = assert(io.open(body, "rb"))
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "refused": %d, "broken": %d, "p50_us": %d, "p99_us": %d}',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end

-- wrk: one POST again and again. BODY is sent as it is; every `$N` in it becomes a number not used before.
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. os.getenv("KEY")

local body = os.getenv("BODY")
if body:find("$N", 1, true) then
  local number = os.time() * 1000000
  request = function()
    number = number + 1
    local numbered = body:gsub("%$N", string.format("%.0f", number))
    return wrk.format(nil, nil, nil, numbered)
  end
else
  wrk.body = body
end

function done(summary, latency, requests)
  io.write(string.format(
    "RESULT %d %f %d %f\n",
    summary.requests, summary.duration / 1e6,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(99) / 1e3))
end

-- wrk: one request again and again, a GET without BODY, else a POST of it. Every `$N` in it becomes a number not
-- used before.
wrk.headers["authorization"] = "Bearer " .. os.getenv("KEY")

local body = os.getenv("BODY")
if body ~= "" then
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
end
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

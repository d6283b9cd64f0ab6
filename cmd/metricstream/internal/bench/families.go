package bench

// family is one metric family of a job. A target has a series of it for every combination of its dimensions.
type family struct {
	name, typ, help, unit string
	move                  move
	dims                  []dim
}

// dim is a label of a family and the values that it takes within one target.
type dim struct {
	name   string
	values []string
}

// job is a kind of scrape target: the families that every unit of it (the node, or each pod on it) exposes.
type job struct {
	name     string
	units    int
	families []family
}

const (
	counterType   = "counter"
	gaugeType     = "gauge"
	histogramType = "histogram"
)

func constant(v int64) move  { return move{kind: kindConst, base: v, scale: 1, div: 1} }
func count(step uint32) move { return move{kind: kindCounter, step: step, scale: 1, div: 1} }
func sparse() move           { return move{kind: kindSparse, scale: 1, div: 1} }
func seconds(step uint32, div float64) move {
	return move{kind: kindCounter, step: step, scale: 1, div: div}
}
func gauge(base int64, step uint32, div float64) move {
	return move{kind: kindGauge, base: base, step: step, scale: 1, div: div}
}
func pages(base int64, step uint32) move {
	return move{kind: kindGauge, base: base, step: step, scale: 4096, div: 1}
}
func slowPages(base int64, step uint32) move {
	return move{kind: kindSlow, base: base, step: step, scale: 4096, div: 1}
}
func observations(step uint32) move { return move{kind: kindBucket, step: step, scale: 1, div: 1} }

// fleet returns the jobs that a cluster's targets are made of, in turn. Names, types, labels and the shape of
// values are those of node exporter, cAdvisor, kube-state-metrics and an instrumented Go service.
func fleet() []job {
	return []job{
		{name: "node-exporter", units: 1, families: nodeFamilies()},
		{name: "kubelet", units: 10, families: containerFamilies()},
		{name: "checkout", units: 1, families: serviceFamilies()},
		{name: "kube-state-metrics", units: 10, families: stateFamilies()},
	}
}

func nodeFamilies() []family {
	cpus := dim{"cpu", []string{"0", "1", "2", "3", "4", "5", "6", "7"}}
	modes := dim{"mode", []string{"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"}}
	disks := dim{"device", []string{"nvme0n1", "nvme1n1", "dm-0"}}
	nets := dim{"device", []string{"eth0", "cni0", "lo", "flannel.1", "veth1a2b3c"}}
	mounts := dim{"mountpoint", []string{"/", "/boot/efi", "/run", "/var/lib/kubelet"}}
	fs := dim{"fstype", []string{"ext4"}}
	return []family{
		{"node_cpu_seconds_total", counterType, "Seconds the CPUs spent in each mode.", "seconds", seconds(180, 100), []dim{cpus, modes}},
		{"node_context_switches_total", counterType, "Total number of context switches.", "", count(84211), nil},
		{"node_intr_total", counterType, "Total number of interrupts serviced.", "", count(51877), nil},
		{"node_forks_total", counterType, "Total number of forks.", "", count(130), nil},
		{"node_disk_read_bytes_total", counterType, "The total number of bytes read successfully.", "bytes", move{kindCounter, 0, 900, 4096, 1}, []dim{disks}},
		{"node_disk_written_bytes_total", counterType, "The total number of bytes written successfully.", "bytes", move{kindCounter, 0, 3200, 4096, 1}, []dim{disks}},
		{"node_disk_io_time_seconds_total", counterType, "Total seconds spent doing I/Os.", "seconds", seconds(640, 1000), []dim{disks}},
		{"node_disk_reads_completed_total", counterType, "The total number of reads completed successfully.", "", count(210), []dim{disks}},
		{"node_network_receive_bytes_total", counterType, "Network device statistic receive_bytes.", "bytes", count(1873421), []dim{nets}},
		{"node_network_transmit_bytes_total", counterType, "Network device statistic transmit_bytes.", "bytes", count(2210987), []dim{nets}},
		{"node_network_receive_packets_total", counterType, "Network device statistic receive_packets.", "", count(14411), []dim{nets}},
		{"node_network_receive_errs_total", counterType, "Network device statistic receive_errs.", "", sparse(), []dim{nets}},
		{"node_network_receive_drop_total", counterType, "Network device statistic receive_drop.", "", sparse(), []dim{nets}},
		{"node_network_up", gaugeType, "Value is 1 if operstate is 'up', 0 otherwise.", "", constant(1), []dim{nets}},
		{"node_filesystem_avail_bytes", gaugeType, "Filesystem space available to non-root users in bytes.", "bytes", slowPages(18311093, 700), []dim{mounts, fs}},
		{"node_filesystem_size_bytes", gaugeType, "Filesystem size in bytes.", "bytes", constant(105089261568), []dim{mounts, fs}},
		{"node_filesystem_files_free", gaugeType, "Filesystem total free file nodes.", "", move{kindSlow, 6301844, 20, 1, 1}, []dim{mounts, fs}},
		{"node_memory_MemTotal_bytes", gaugeType, "Memory information field MemTotal_bytes.", "bytes", constant(33567289344), nil},
		{"node_memory_MemAvailable_bytes", gaugeType, "Memory information field MemAvailable_bytes.", "bytes", pages(4101932, 9000), nil},
		{"node_memory_MemFree_bytes", gaugeType, "Memory information field MemFree_bytes.", "bytes", pages(1201932, 8000), nil},
		{"node_memory_Cached_bytes", gaugeType, "Memory information field Cached_bytes.", "bytes", pages(2701932, 3000), nil},
		{"node_memory_Buffers_bytes", gaugeType, "Memory information field Buffers_bytes.", "bytes", pages(91932, 40), nil},
		{"node_memory_SwapTotal_bytes", gaugeType, "Memory information field SwapTotal_bytes.", "bytes", constant(0), nil},
		{"node_load1", gaugeType, "1m load average.", "", gauge(212, 40, 100), nil},
		{"node_load5", gaugeType, "5m load average.", "", gauge(205, 9, 100), nil},
		{"node_load15", gaugeType, "15m load average.", "", gauge(201, 3, 100), nil},
		{"node_hwmon_temp_celsius", gaugeType, "Hardware monitor for temperature (input).", "celsius", gauge(51250, 500, 1000), []dim{{"sensor", []string{"temp1", "temp2"}}}},
		{"node_timex_offset_seconds", gaugeType, "Time offset in between local system and reference clock.", "seconds", gauge(41200, 2500, 1e9), nil},
		{"node_boot_time_seconds", gaugeType, "Node boot time, in unixtime.", "seconds", constant(1788171644), nil},
		{"node_sockstat_TCP_inuse", gaugeType, "Number of TCP sockets in state inuse.", "", gauge(87, 6, 1), nil},
		{"node_procs_running", gaugeType, "Number of processes in runnable state.", "", gauge(3, 2, 1), nil},
		{"up", gaugeType, "", "", constant(1), nil},
		{"scrape_duration_seconds", gaugeType, "", "seconds", gauge(21344811, 4000000, 1e9), nil},
	}
}

func containerFamilies() []family {
	net := dim{"interface", []string{"eth0"}}
	return []family{
		{"container_cpu_usage_seconds_total", counterType, "Cumulative cpu time consumed in seconds.", "seconds", seconds(1843219, 1e6), []dim{{"cpu", []string{"total"}}}},
		{"container_cpu_cfs_periods_total", counterType, "Number of elapsed enforcement period intervals.", "", count(150), nil},
		{"container_cpu_cfs_throttled_periods_total", counterType, "Number of throttled period intervals.", "", sparse(), nil},
		{"container_memory_working_set_bytes", gaugeType, "Current working set in bytes.", "bytes", pages(31410, 600), nil},
		{"container_memory_rss", gaugeType, "Size of RSS in bytes.", "bytes", pages(27110, 500), nil},
		{"container_memory_cache", gaugeType, "Number of bytes of page cache memory.", "bytes", slowPages(4410, 60), nil},
		{"container_spec_memory_limit_bytes", gaugeType, "Memory limit for the container.", "bytes", constant(536870912), nil},
		{"container_spec_cpu_quota", gaugeType, "CPU quota of the container.", "", constant(50000), nil},
		{"container_network_receive_bytes_total", counterType, "Cumulative count of bytes received.", "bytes", count(91873), []dim{net}},
		{"container_network_transmit_bytes_total", counterType, "Cumulative count of bytes transmitted.", "bytes", count(71233), []dim{net}},
		{"container_fs_writes_bytes_total", counterType, "Cumulative count of bytes written.", "bytes", move{kindCounter, 0, 30, 4096, 1}, []dim{{"device", []string{"/dev/nvme0n1"}}}},
		{"container_processes", gaugeType, "Number of processes running inside the container.", "", gauge(4, 1, 1), nil},
		{"container_threads", gaugeType, "Number of threads running inside the container.", "", gauge(23, 2, 1), nil},
		{"container_start_time_seconds", gaugeType, "Start time of the container since unix epoch.", "seconds", constant(1788171699), nil},
	}
}

func serviceFamilies() []family {
	handlers := dim{"handler", []string{"/api/v1/cart", "/api/v1/pay", "/healthz"}}
	return []family{
		{"http_request_duration_seconds", histogramType, "Latency of HTTP requests.", "seconds", observations(700), []dim{handlers}},
		{"http_requests_total", counterType, "Number of HTTP requests.", "", count(640), []dim{handlers, {"code", []string{"200", "404"}}}},
		{"http_request_errors_total", counterType, "Number of HTTP requests that failed.", "", sparse(), []dim{handlers}},
		{"go_goroutines", gaugeType, "Number of goroutines that currently exist.", "", gauge(131, 12, 1), nil},
		{"go_gc_duration_seconds_sum", counterType, "", "seconds", seconds(731337, 1e9), nil},
		{"go_gc_duration_seconds_count", counterType, "", "", count(3), nil},
		{"go_memstats_alloc_bytes", gaugeType, "Number of bytes allocated and still in use.", "bytes", gauge(48211344, 9000000, 1), nil},
		{"go_memstats_alloc_bytes_total", counterType, "Total number of bytes allocated.", "bytes", count(30211344), nil},
		{"go_memstats_heap_inuse_bytes", gaugeType, "Number of heap bytes that are in use.", "bytes", pages(15110, 900), nil},
		{"go_memstats_mallocs_total", counterType, "Total number of mallocs.", "", count(281221), nil},
		{"process_cpu_seconds_total", counterType, "Total user and system CPU time spent in seconds.", "seconds", seconds(310, 100), nil},
		{"process_resident_memory_bytes", gaugeType, "Resident memory size in bytes.", "bytes", pages(29110, 300), nil},
		{"process_open_fds", gaugeType, "Number of open file descriptors.", "", gauge(61, 4, 1), nil},
		{"process_start_time_seconds", gaugeType, "Start time of the process since unix epoch in seconds.", "seconds", move{kindConst, 178817164431, 0, 1, 100}, nil},
		{"db_pool_wait_seconds_total", counterType, "Time that requests waited for a connection.", "seconds", seconds(88321731, 1e9), nil},
		{"queue_depth", gaugeType, "Messages waiting.", "", gauge(35, 20, 1), []dim{{"queue", []string{"orders", "mails"}}}},
		{"cache_hit_ratio", gaugeType, "Share of look-ups answered from the cache.", "", gauge(931, 12, 1000), nil},
	}
}

func stateFamilies() []family {
	return []family{
		{"kube_pod_info", gaugeType, "Information about pod.", "", constant(1), []dim{{"created_by_kind", []string{"ReplicaSet"}}}},
		{"kube_pod_status_phase", gaugeType, "The pods current phase.", "", constant(1), []dim{{"phase", []string{"Running"}}}},
		{"kube_pod_status_ready", gaugeType, "Describes whether the pod is ready to serve requests.", "", constant(1), []dim{{"condition", []string{"true"}}}},
		{"kube_pod_container_status_restarts_total", counterType, "The number of container restarts.", "", sparse(), []dim{{"container", []string{"main"}}}},
		{"kube_pod_container_resource_requests", gaugeType, "The number of requested resources.", "", move{kindConst, 250, 0, 1, 1000}, []dim{{"container", []string{"main"}}, {"resource", []string{"cpu", "memory"}}}},
		{"kube_pod_created", gaugeType, "Unix creation timestamp.", "seconds", constant(1788171690), []dim{{"created_by_kind", []string{"ReplicaSet"}}}},
	}
}

// bucketBounds are client_golang's default buckets, and the share of the observations at or below each.
func bucketBounds() ([]string, []uint32) {
	return []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"},
		[]uint32{3000, 9000, 22000, 38000, 51000, 60000, 63500, 64800, 65300, 65450, 65520, 1 << shareBits}
}

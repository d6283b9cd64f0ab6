package remotewrite

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/metricstream/metricstream/remotewrite/codec"
)

const (
	mediaType = "application/x-protobuf"
	messageV1 = "prometheus.WriteRequest"
	messageV2 = "io.prometheus.write.v2.Request"
)

// versionOf tells from the request's headers which message its body holds. Without a Content-Type, or without
// its proto parameter, that is 1.0's. An error is for a 415.
func versionOf(h http.Header) (codec.Version, error) {
	contentType := strings.TrimSpace(h.Get("Content-Type"))
	if contentType == "" {
		return codec.V1, nil
	}
	media, params, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(media), mediaType) {
		return 0, fmt.Errorf("the Content-Type %.100q is not supported: send %s, with proto=%s for remote write 2.0", contentType, mediaType, messageV2)
	}
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		name, value, ok := strings.Cut(strings.TrimSpace(param), "=")
		if !ok {
			return 0, fmt.Errorf("the Content-Type %.100q has the parameter %.100q without a value", contentType, param)
		}
		if !strings.EqualFold(name, "proto") {
			continue
		}
		switch strings.Trim(value, `"`) {
		case messageV1:
			return codec.V1, nil
		case messageV2:
			return codec.V2, nil
		}
		return 0, fmt.Errorf("the message %.100q is not supported: send %s or %s", value, messageV1, messageV2)
	}
	return codec.V1, nil
}

// checkEncoding refuses every Content-Encoding but snappy, which is also what none means. An error is for a 415.
func checkEncoding(h http.Header) error {
	e := strings.TrimSpace(h.Get("Content-Encoding"))
	if e == "" || strings.EqualFold(e, "snappy") {
		return nil
	}
	return fmt.Errorf("the Content-Encoding %.100q is not supported: send snappy, in its block format", e)
}

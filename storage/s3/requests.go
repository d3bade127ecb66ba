package s3

import (
	"net/http"

	"github.com/ripplebak/ripplebak/storage"
)

// counted counts what is sent, each try and each page of a listing. What is
// asked of others than the storage, for credentials, does not come here.
type counted struct {
	next     http.RoundTripper
	requests *storage.Requests
}

func (c counted) RoundTrip(req *http.Request) (*http.Response, error) {
	c.requests.HTTP(req.Method, req.Method == http.MethodGet && req.URL.Query().Has("list-type"))
	return c.next.RoundTrip(req)
}

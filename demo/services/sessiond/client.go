package sessiond

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/waybill-go/waybill/demo/internal/trip"
)

// Client reaches the store over HTTP: one trip to load a session and one to save it, with each request.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client of the store at the one address of addrs. Without an address there is no store.
func NewClient(addrs []string) *Client {
	c := &Client{http: &http.Client{
		Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	if len(addrs) > 0 {
		c.url = "http://" + addrs[0] + path
	}
	return c
}

// Load returns a session.
func (c *Client) Load(ctx context.Context, id string) (s trip.State, err error) {
	data, err := c.do(ctx, http.MethodGet, id, nil)
	if err != nil {
		return nil, err
	}
	return s, json.Unmarshal(data, &s)
}

// Save puts a session in the place of what was there.
func (c *Client) Save(ctx context.Context, id string, s trip.State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, http.MethodPut, id, data)
	return err
}

// End drops a session.
func (c *Client) End(ctx context.Context, id string) error {
	_, err := c.do(ctx, http.MethodDelete, id, nil)
	return err
}

func (c *Client) do(ctx context.Context, method, id string, body []byte) ([]byte, error) {
	switch {
	case id == "":
		return nil, ErrUnknown
	case c.url == "":
		return nil, errors.New("sessiond: there is no store")
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+id, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode == http.StatusNotFound:
		return nil, ErrUnknown
	case res.StatusCode >= 400:
		return nil, fmt.Errorf("sessiond: status %d", res.StatusCode)
	}
	return data, nil
}

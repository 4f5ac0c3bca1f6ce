/* A chat service with a set pace, that knows to the nanosecond when it said what.
 *
 *     cc -O2 -o paced_service benchmarks/paced_service.c
 *     ./paced_service --core 0 --tokens 128 --ttft 50000 --itl 20000        (microseconds)
 *
 * It prints the port that it listens at. Every POST is a question of the OpenAI protocol, chat or
 * completion, answered in events where "stream" is true: one token an event, one event a send. With
 * --itl 0 tokens follow each other as fast as the connections take them; --grid 1 gives all streams
 * their tokens in common steps, as an engine does. "max_tokens" of a question goes before --tokens.
 *
 *     GET /record      a line for each answer: its x-request-id, its number, and when it was asked, and
 *                      when each token was handed to the kernel (CLOCK_MONOTONIC, in nanoseconds)
 *     POST /forget     forget them
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 1 << 17, ROOM = 512, IN_ROOM = 4096 };

struct answer {
    char asked_by[64];
    uint64_t number, asked, done;
    uint32_t tokens, said;
    uint64_t *times;
    struct answer *before;
};

struct visitor {
    int file;
    char *in;
    size_t in_size, in_room;
    char *out;                      /* what the kernel did not take */
    size_t out_from, out_size, out_room;
    struct answer *answer;          /* the stream under way */
    int chat, usage, waits;         /* waits: for room in the kernel */
    uint64_t due;
    int place;                      /* in the heap, or -1 */
};

static long port = 0, core = -1, tokens = 128, ttft = 0, itl = 0, grid = 0;
static struct visitor *visitors[MOST_FILES];
static struct visitor *heap[MOST_FILES];
static int heap_size, poller, record = 1;
static struct answer *answers;
static uint64_t count;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *must(void *memory)
{
    if (!memory) {
        perror("memory");
        exit(1);
    }
    return memory;
}

/* The heap of streams by when their next token is due. */

static void put(int place, struct visitor *v)
{
    heap[place] = v;
    v->place = place;
}

static void sift_up(int place)
{
    struct visitor *v = heap[place];
    while (place && heap[(place - 1) / 2]->due > v->due) {
        put(place, heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(place, v);
}

static void sift_down(int place)
{
    struct visitor *v = heap[place];
    for (;;) {
        int child = 2 * place + 1;
        if (child >= heap_size)
            break;
        if (child + 1 < heap_size && heap[child + 1]->due < heap[child]->due)
            child++;
        if (heap[child]->due >= v->due)
            break;
        put(place, heap[child]);
        place = child;
    }
    put(place, v);
}

static void enqueue(struct visitor *v)
{
    heap[heap_size] = v;
    sift_up(heap_size++);
}

static void dequeue(struct visitor *v)
{
    int place = v->place;
    v->place = -1;
    if (place != --heap_size) {
        struct visitor *last = heap[heap_size];
        put(place, last);
        sift_up(place);
        sift_down(last->place);
    }
}

/* Sending. */

static void watch(struct visitor *v, int writing)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = v->file};
    epoll_ctl(poller, EPOLL_CTL_MOD, v->file, &e);
    v->waits = writing;
}

static void hang_up(struct visitor *v)
{
    if (v->place >= 0)
        dequeue(v);
    visitors[v->file] = NULL;
    close(v->file);
    free(v->in);
    free(v->out);
    free(v);
}

static int give(struct visitor *v, const char *data, size_t size)
{
    if (!v->waits) {
        ssize_t sent = send(v->file, data, size, MSG_NOSIGNAL);
        if (sent == (ssize_t)size)
            return 1;
        if (sent < 0) {
            if (errno != EAGAIN)
                return 0;
            sent = 0;
        }
        data += sent;
        size -= (size_t)sent;
        watch(v, 1);
    }
    if (v->out_size + size > v->out_room) {
        v->out_room = 2 * (v->out_size + size);
        v->out = must(realloc(v->out, v->out_room));
    }
    memcpy(v->out + v->out_size, data, size);
    v->out_size += size;
    return 1;
}

static int give_rest(struct visitor *v)
{
    ssize_t sent = send(v->file, v->out + v->out_from, v->out_size - v->out_from, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    v->out_from += (size_t)sent;
    if (v->out_from == v->out_size) {
        v->out_from = v->out_size = 0;
        watch(v, 0);
    }
    return 1;
}

static int give_event(struct visitor *v, const char *said, int size)
{
    char chunk[ROOM];
    int n = snprintf(chunk, sizeof chunk, "%x\r\n%.*s\r\n", size, size, said);
    return give(v, chunk, (size_t)n);
}

static int give_token(struct visitor *v)
{
    struct answer *a = v->answer;
    char said[ROOM];
    int n = snprintf(said, sizeof said,
                     v->chat ? "data: {\"id\":\"chatcmpl-%llu\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                               "\"model\":\"paced\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" w%u\"},"
                               "\"finish_reason\":null}]}\n\n"
                             : "data: {\"id\":\"cmpl-%llu\",\"object\":\"text_completion\",\"created\":1700000000,"
                               "\"model\":\"paced\",\"choices\":[{\"index\":0,\"text\":\" w%u\",\"finish_reason\":null}]}\n\n",
                     (unsigned long long)a->number, a->said % 1000);
    if (a->times)
        a->times[a->said] = now();
    a->said++;
    return give_event(v, said, n);
}

static int give_end(struct visitor *v)
{
    struct answer *a = v->answer;
    char end[2 * ROOM], chunk[3 * ROOM];
    int n = snprintf(end, sizeof end,
                     "data: {\"id\":\"%s-%llu\",\"object\":\"%s\",\"created\":1700000000,\"model\":\"paced\","
                     "\"choices\":[{\"index\":0,%s,\"finish_reason\":\"length\"}]}\n\n",
                     v->chat ? "chatcmpl" : "cmpl", (unsigned long long)a->number,
                     v->chat ? "chat.completion.chunk" : "text_completion", v->chat ? "\"delta\":{}" : "\"text\":\"\"");
    if (v->usage)
        n += snprintf(end + n, sizeof end - (size_t)n,
                      "data: {\"id\":\"c-%llu\",\"object\":\"%s\",\"created\":1700000000,\"model\":\"paced\",\"choices\":[],"
                      "\"usage\":{\"prompt_tokens\":16,\"completion_tokens\":%u,\"total_tokens\":%u}}\n\n",
                      (unsigned long long)a->number, v->chat ? "chat.completion.chunk" : "text_completion", a->said,
                      a->said + 16);
    n += snprintf(end + n, sizeof end - (size_t)n, "data: [DONE]\n\n");
    int m = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n0\r\n\r\n", n, end);
    a->done = now();
    v->answer = NULL;
    return give(v, chunk, (size_t)m);
}

static uint64_t after(uint64_t at, uint64_t pause)
{
    uint64_t step = (uint64_t)itl * 1000;
    at += pause;
    return grid && step ? (at + step - 1) / step * step : at;
}

/* All tokens that are due; without a pause between tokens each stream gets one a round. */
static void speak(void)
{
    uint64_t time = now();
    for (int most = heap_size; most > 0 && heap_size && heap[0]->due <= time; most--) {
        struct visitor *v = heap[0];
        struct answer *a = v->answer;
        if (v->waits && v->out_size > 1 << 16) {
            v->due = time + 1000000;
            sift_down(0);
            continue;
        }
        int alive = a->said < a->tokens ? give_token(v) : 1;
        if (alive && a->said == a->tokens) {
            dequeue(v);
            alive = give_end(v);
        } else if (alive) {
            v->due = itl ? after(v->due, (uint64_t)itl * 1000) : time + 1;
            sift_down(0);
        }
        if (!alive)
            hang_up(v);
    }
}

/* Questions. */

static int give_whole(struct visitor *v, const char *kind, const char *body, size_t size)
{
    char head[ROOM];
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", kind, size);
    return give(v, head, (size_t)n) && give(v, body, size);
}

static int give_record(struct visitor *v)
{
    char *text;
    size_t size;
    FILE *file = must(open_memstream(&text, &size));
    for (struct answer *a = answers; a; a = a->before) {
        fprintf(file, "{\"id\":\"%s\",\"number\":%llu,\"asked\":%llu,\"done\":%llu,\"tokens\":[", a->asked_by,
                (unsigned long long)a->number, (unsigned long long)a->asked, (unsigned long long)a->done);
        for (uint32_t n = 0; n < a->said; n++)
            fprintf(file, n ? ",%llu" : "%llu", (unsigned long long)a->times[n]);
        fputs("]}\n", file);
    }
    fclose(file);
    int alive = give_whole(v, "application/x-ndjson", text, size);
    free(text);
    return alive;
}

static void forget(void)
{
    while (answers) {
        struct answer *a = answers;
        answers = a->before;
        free(a->times);
        free(a);
    }
}

static long number_after(const char *body, const char *name, long otherwise)
{
    const char *found = strstr(body, name);
    if (!found)
        return otherwise;
    found += strlen(name);
    found += strspn(found, "\": ");
    char *end;
    long value = strtol(found, &end, 10);
    return end == found ? otherwise : value;
}

static int is_true(const char *body, const char *name)
{
    const char *found = strstr(body, name);
    if (!found)
        return 0;
    found += strlen(name);
    return !strncmp(found + strspn(found, ": "), "true", 4);
}

static int answer(struct visitor *v, const char *head, const char *body)
{
    static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"paced\",\"object\":\"model\",\"created\":1,"
                                 "\"owned_by\":\"nobody\"}]}";
    if (!strncmp(head, "GET /record", 11))
        return give_record(v);
    if (!strncmp(head, "POST /forget", 12)) {
        forget();
        return give_whole(v, "application/json", "{}", 2);
    }
    if (!strncmp(head, "GET ", 4))
        return give_whole(v, "application/json", models, sizeof models - 1);
    struct answer *a = must(calloc(1, sizeof *a));
    a->number = ++count;
    a->asked = now();
    a->tokens = (uint32_t)number_after(body, "\"max_tokens\"", number_after(body, "\"max_completion_tokens\"", tokens));
    const char *by = strcasestr(head, "\r\nx-request-id:");
    if (by)
        sscanf(by + 15, " %63[^\r\n]", a->asked_by);
    a->times = record ? must(calloc(a->tokens + 1, sizeof *a->times)) : NULL;
    a->before = answers;
    answers = a;
    v->chat = !!memmem(head, strcspn(head, "\r"), "chat", 4);
    if (!is_true(body, "\"stream\"")) {
        char whole[2 * ROOM];
        int n = snprintf(whole, sizeof whole,
                         "{\"id\":\"c-%llu\",\"object\":\"%s\",\"created\":1700000000,\"model\":\"paced\",\"choices\":["
                         "{\"index\":0,%s,\"finish_reason\":\"stop\"}],"
                         "\"usage\":{\"prompt_tokens\":16,\"completion_tokens\":2,\"total_tokens\":18}}",
                         (unsigned long long)a->number, v->chat ? "chat.completion" : "text_completion",
                         v->chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"42 .\"}" : "\"text\":\"42 .\"");
        a->done = now();
        return give_whole(v, "application/json", whole, (size_t)n);
    }
    v->usage = is_true(body, "\"include_usage\"");
    v->answer = a;
    v->due = after(a->asked, (uint64_t)ttft * 1000);
    enqueue(v);
    static const char begin[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    return give(v, begin, sizeof begin - 1);
}

/* One whole question at a time: what comes behind it waits. */
static int hear(struct visitor *v)
{
    while (!v->answer) {
        v->in[v->in_size] = 0;
        char *end = strstr(v->in, "\r\n\r\n");
        if (!end)
            return 1;
        char *said = strcasestr(v->in, "\r\ncontent-length:");
        size_t length = said && said < end ? strtoul(said + 17, NULL, 10) : 0;
        size_t whole = (size_t)(end + 4 - v->in) + length;
        if (v->in_size < whole)
            return 1;
        char kept = v->in[whole];
        v->in[whole] = *end = 0;
        if (!answer(v, v->in, end + 4))
            return 0;
        v->in[whole] = kept;
        memmove(v->in, v->in + whole, v->in_size - whole);
        v->in_size -= whole;
    }
    return 1;
}

static int read_more(struct visitor *v)
{
    for (;;) {
        if (v->in_size + 1 >= v->in_room) {
            v->in_room = v->in_room ? 2 * v->in_room : IN_ROOM;
            v->in = must(realloc(v->in, v->in_room));
        }
        ssize_t got = recv(v->file, v->in + v->in_size, v->in_room - v->in_size - 1, 0);
        if (got < 0)
            return errno == EAGAIN;
        if (!got)
            return 0;
        v->in_size += (size_t)got;
        if (!hear(v))
            return 0;
    }
}

static void welcome(int door)
{
    int file, one = 1;
    while ((file = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (file >= MOST_FILES) {
            close(file);
            continue;
        }
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct visitor *v = must(calloc(1, sizeof *v));
        v->file = file;
        v->place = -1;
        visitors[file] = v;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = file};
        epoll_ctl(poller, EPOLL_CTL_ADD, file, &e);
    }
}

static int open_door(void)
{
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof at;
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (void *)&at, sizeof at) || listen(door, 65535)) {
        perror("listen");
        exit(1);
    }
    getsockname(door, (void *)&at, &size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return door;
}

static void read_options(int argc, char **argv)
{
    struct { const char *name; long *value; } known[] = {
        {"--port", &port}, {"--core", &core}, {"--tokens", &tokens}, {"--ttft", &ttft}, {"--itl", &itl}, {"--grid", &grid},
    };
    for (int n = 1; n < argc; n += 2) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && strcmp(argv[n], known[k].name))
            k++;
        if (k == sizeof known / sizeof *known || n + 1 == argc) {
            fprintf(stderr, "what is %s?\n", argv[n]);
            exit(2);
        }
        *known[k].value = atol(argv[n + 1]);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET((size_t)core, &cores);
        sched_setaffinity(0, sizeof cores, &cores);
    }
    struct rlimit files = {MOST_FILES, MOST_FILES};
    if (setrlimit(RLIMIT_NOFILE, &files) && !getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int door = open_door();
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = door};
    epoll_ctl(poller, EPOLL_CTL_ADD, door, &e);
    for (;;) {
        struct epoll_event seen[1024];
        struct timespec pause = {0, 0}, *wait = NULL;
        if (heap_size) {
            uint64_t time = now(), due = heap[0]->due;
            if (due > time) {
                pause.tv_sec = (time_t)((due - time) / 1000000000u);
                pause.tv_nsec = (long)((due - time) % 1000000000u);
            }
            wait = &pause;
        }
        int many = epoll_pwait2(poller, seen, 1024, wait, NULL);
        for (int n = 0; n < many; n++) {
            if (seen[n].data.fd == door) {
                welcome(door);
                continue;
            }
            struct visitor *v = visitors[seen[n].data.fd];
            int alive = 1;
            if (seen[n].events & EPOLLOUT)
                alive = give_rest(v);
            if (alive && seen[n].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                alive = read_more(v);
            if (alive && !v->answer)
                alive = hear(v);
            if (!alive)
                hang_up(v);
        }
        speak();
    }
}

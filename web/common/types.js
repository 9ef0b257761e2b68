/**
 * Types of the frontend's objects and of the wire; no code.
 *
 * They describe what frontends 1.32 and 1.58 have in common. Only page/frontend.js handles their differences.
 *
 * @typedef {string | number} NodeId A string in 1.58, a number in 1.32; compare as strings.
 *
 * @typedef {object} Link
 * @property {number} id
 * @property {NodeId} origin_id
 * @property {number} origin_slot
 * @property {NodeId} target_id
 * @property {number} target_slot
 * @property {string | number} type
 *
 * @typedef {object} Slot
 * @property {string} name
 * @property {string | number} type
 * @property {string} [label]
 * @property {{name: string}} [widget] The widget that this input replaces when it is linked.
 * @property {string} [widgetId] 1.58: this input of a subgraph's node carries a promoted widget.
 *
 * @typedef {object} WidgetOptions
 * @property {number} [min]
 * @property {number} [max]
 * @property {string} [property] A node property that mirrors the value.
 * @property {unknown} [values] A combo's choices: a list, an object of labels by value, or a function.
 *
 * @typedef {object} Widget
 * @property {string} name
 * @property {string} type
 * @property {any} value
 * @property {WidgetOptions} [options]
 * @property {string} [label]
 * @property {Widget[]} [linkedWidgets]
 * @property {boolean} [dynamicPrompts] The page expands its text as a dynamic prompt.
 * @property {(node: GraphNode, index: number) => unknown} [serializeValue] What is exported instead of the value.
 * @property {{nodeId: NodeId, widgetName: string}} [_overlay] 1.32: this widget is another node's, shown here.
 * @property {(value: any, canvas?: unknown, node?: GraphNode, pos?: unknown, event?: unknown) => unknown} [callback]
 *
 * @typedef {object} GraphNode
 * @property {NodeId} id
 * @property {string} title
 * @property {string} type
 * @property {number} [mode] 2 is muted, 4 bypassed.
 * @property {Widget[]} [widgets]
 * @property {Slot[]} [inputs]
 * @property {Slot[]} [outputs]
 * @property {ArrayLike<number>} [pos]
 * @property {ArrayLike<number>} [size]
 * @property {{collapsed?: boolean, pinned?: boolean}} [flags]
 * @property {string} [color]
 * @property {string} [bgcolor]
 * @property {Subgraph} [subgraph] Only on a subgraph node.
 * @property {Graph | null} [graph]
 * @property {Record<string, any>} [properties]
 * @property {(name: string, value: any) => void} [setProperty]
 * @property {(name: string, value: any, previous: any, widget: Widget) => void} [onWidgetChanged]
 * @property {(outSlot: number, target: GraphNode, inSlot: number) => Link | null} [connect]
 *
 * @typedef {object} Graph
 * @property {GraphNode[]} nodes
 * @property {{values(): Iterable<Link>}} [links]
 * @property {Group[]} [groups]
 * @property {(option?: any) => any} serialize
 * @property {() => void} [incrementVersion] 1.58.
 * @property {number} [_version] 1.32.
 *
 * @typedef {object} Group
 * @property {number | string} id
 * @property {string} title
 * @property {string} [color]
 * @property {ArrayLike<number> & Iterable<number>} boundingRect
 *
 * @typedef {Graph & {id?: string, inputNode: {id: NodeId, slots: Slot[]}}} Subgraph
 *
 * @typedef {object} Field The field that a path names.
 * @property {"widget" | "input" | "output"} kind
 * @property {GraphNode} node
 * @property {GraphNode[]} hosts The subgraph nodes on the way from the root graph to `node`, outermost first.
 * @property {Widget} [widget] For kind widget.
 * @property {number} [slot] For kind input and output: the slot's index.
 *
 * @typedef {object} Owner The widget that holds a field's value, after following a promotion outwards.
 * @property {GraphNode} node
 * @property {Widget} widget
 * @property {GraphNode[]} hosts
 *
 * @typedef {{requested: any, value: any, warnings: string[]}} Written
 *
 * @typedef {{nodes: object[], [key: string]: any}} UiWorkflow A workflow as the frontend saves it.
 * @typedef {Record<string, {class_type: string | null, inputs?: Record<string, any>, _meta?: {title?: string}}>} ApiWorkflow
 *   The input of /prompt; class_type is null if the type was not installed.
 *
 * @typedef {object} Call A request in progress.
 * @property {string} id
 * @property {AbortSignal} signal aborted when the client no longer waits
 * @property {Promise<void>} answered settles once the response is handed to the socket
 * @property {(part: Record<string, any>) => void} submitting sends the server what the response contains in
 *   addition to ComfyUI's answer to the submitted run
 * @property {string} [if_revision] a write is refused unless the graph has this revision
 * @property {string} [workflow_tab] the id, path or name of the workflow tab that the command is for
 * @property {string | null} [by] the name of the calling program
 */

export {};
